/*
 * attention_bwd.c: gradients of scaled dot-product attention.
 *
 * With P made again from the stored lse and D_i = do_i . o_i:
 *   dS_ij = P_ij (do_i . v_j - D_i);  dq_i += scale dS_ij k_j;  dk_j += scale dS_ij q_i;
 *   dv_j += P_ij do_i;  dbias_ij += dS_ij.
 * (Dao et al. 2022.)  Keys are taken in blocks as in the forward pass and queries QUERY_BLOCK at a
 * time, so that P and dS of a block stay in the second-level cache; all five products are tiles.
 *
 * dbias is a sum over the batch.  Either one thread walks the whole batch of a head, or, when there
 * are few heads, each thread sums its share of the batch by itself and the shares are added in the
 * order of the threads: the same bits for the same number of threads.
 */
#include "backend/cpu/kernels/attention.h"
#include "backend/cpu/kernels/vec_math.h"

#include <omp.h>

/* Four tiles of rows. */
#define QUERY_BLOCK (4 * TILE_ROWS)

struct gradients {
    const float *q, *k, *v, *o, *dout, *lse;
    float *dq, *dk, *dv;
    bool add_dq, add_dkv;
};

/* One head of one problem: where its parts start. */
struct task {
    struct head h;
    const float *o, *dout, *lse;
    float *dq, *dk, *dv;
    float *dbias; /* [nq, nk] or NULL */
    bool add_dq, add_dk, add_dv;
};

/* Packed keys: scaled columns for the scores, scaled rows for dq; values: columns for do . v.
 * Queries as scaled panels for dk; do as panels for dv. */
struct workspace {
    float *key_columns, *key_rows, *value_columns;
    float *query_rows, *dout_rows;
    float *p, *ds;
    int32_t *seen;
    float *left; /* what is left of the thread's scratch */
};

static struct workspace workspace_of(const struct backend *b, const struct attention *a, int thread)
{
    int64_t wide = round_up(a->head_dim, TILE_COLUMNS);
    struct workspace w;

    w.key_columns = cpu_thread_scratch(b, thread);
    w.key_rows = w.key_columns + KEYS_MAX * wide;
    w.value_columns = w.key_rows + KEYS_MAX * wide;
    w.query_rows = w.value_columns + KEYS_MAX * wide;
    w.dout_rows = w.query_rows + QUERY_BLOCK * wide;
    w.p = w.dout_rows + QUERY_BLOCK * wide;
    w.ds = w.p + QUERY_BLOCK * KEYS_MAX;
    w.seen = (int32_t *)(void *)(w.ds + QUERY_BLOCK * KEYS_MAX);
    w.left = (float *)(void *)(w.seen + KEYS_MAX);
    return w;
}

/* n scores in p become probabilities, do . v in ds becomes dS, both are 0 behind them. */
INLINE void softmax_part_bwd(int64_t n, float *p, float *ds, const float *bias, const int32_t *seen,
                             int32_t region, vec lse, vec delta, float *dbias)
{
    vec x = v_load(p), d = v_load(ds);

    if (bias)
        x = v_fma(v_load_first(bias, n), v_set(LOG2_E), x);
    if (seen)
        x = v_where_equal(seen, region, x, v_set(-INFINITY));
    x = v_exp2_down(x - lse);
    d = x * (d - delta);
    v_store(p, x);
    v_store(ds, d);
    if (dbias)
        v_store_first(dbias, n, v_load_first(dbias, n) + d);
    for (int64_t i = n; i < VW; i++)
        p[i] = ds[i] = 0;
}

INLINE void softmax_parts_bwd(int64_t keys, float *p, float *ds, const float *bias,
                              const int32_t *seen, int32_t region, vec lse, vec delta, float *dbias)
{
    int64_t j = 0;

    for (; j + VW <= keys; j += VW)
        softmax_part_bwd(VW, p + j, ds + j, bias ? bias + j : NULL, seen ? seen + j : NULL, region,
                         lse, delta, dbias ? dbias + j : NULL);
    if (j < keys)
        softmax_part_bwd(keys - j, p + j, ds + j, bias ? bias + j : NULL, seen ? seen + j : NULL,
                         region, lse, delta, dbias ? dbias + j : NULL);
}

/* A row of scores.  lse is in units of ln 2.  Each case is a loop without questions. */
static void softmax_row_bwd(int64_t keys, float *p, float *ds, const float *bias,
                            const int32_t *seen, int32_t region, float lse_value, float delta_value,
                            float *dbias)
{
    vec lse = v_set(lse_value), delta = v_set(delta_value);

    if (bias && dbias && seen)
        softmax_parts_bwd(keys, p, ds, bias, seen, region, lse, delta, dbias);
    else if (bias && dbias)
        softmax_parts_bwd(keys, p, ds, bias, NULL, 0, lse, delta, dbias);
    else if (!bias && !dbias && !seen)
        softmax_parts_bwd(keys, p, ds, NULL, NULL, 0, lse, delta, NULL);
    else
        softmax_parts_bwd(keys, p, ds, bias, seen, region, lse, delta, dbias);
}

static void row_bwd(const struct task *t, const struct workspace *w, int64_t i, int64_t first,
                    int64_t keys, int64_t row_keys, bool masked, float *p, float *ds)
{
    const struct attention *a = t->h.a;
    int64_t n = causal_keys(a, i, first, keys), done = 0;

    if (t->lse[i] != -INFINITY) {
        float delta = dot(a->head_dim, t->dout + i * a->o_stride, t->o + i * a->o_stride);

        softmax_row_bwd(n, p, ds, t->h.bias ? t->h.bias + i * a->nk + first : NULL,
                        masked ? w->seen : NULL, t->h.region ? t->h.region[i] : 0,
                        t->lse[i] * LOG2_E, delta, t->dbias ? t->dbias + i * a->nk + first : NULL);
        done = round_up(n, VW);
    }

    for (int64_t j = done; j < row_keys; j++)
        p[j] = ds[j] = 0;
}

/* to[keys, head_dim] (+)= x^T y for the scores x of `queries` rows and packed rows y. */
static void add_transposed(const struct attention *a, int64_t keys, int64_t queries, const float *x,
                           int64_t room, const float *y, bool add, float *to, int64_t stride)
{
    for (int64_t c = 0; c < a->head_dim; c += TILE_COLUMNS)
        for (int64_t j = 0; j < keys; j += TILE_ROWS)
            gemm_tile_at(keys - j < TILE_ROWS ? (int)(keys - j) : TILE_ROWS,
                         a->head_dim - c < TILE_COLUMNS ? a->head_dim - c : TILE_COLUMNS, queries,
                         x + j, room, y + c * queries, NULL, add, to + j * stride + c, stride);
}

/* Queries [i, i + queries) against the packed keys [first, first + keys). */
static void block_bwd(const struct task *t, const struct workspace *w, int64_t i, int64_t queries,
                      int64_t first, int64_t keys, bool masked)
{
    const struct attention *a = t->h.a;
    int64_t d = a->head_dim, room = round_up(keys, TILE_COLUMNS);
    int64_t n = causal_keys(a, i + queries - 1, first, keys);

    for (int64_t r = 0; r < queries; r += TILE_ROWS) {
        int rows = queries - r < TILE_ROWS ? (int)(queries - r) : TILE_ROWS;

        for (int64_t j = 0; j < n; j += TILE_COLUMNS) {
            int64_t columns = tile_columns(n - j);

            gemm_tile(rows, columns, d, t->h.q + (i + r) * a->q_stride, a->q_stride,
                      w->key_columns + j * d, NULL, false, w->p + r * room + j, room);
            gemm_tile(rows, columns, d, t->dout + (i + r) * a->o_stride, a->o_stride,
                      w->value_columns + j * d, NULL, false, w->ds + r * room + j, room);
        }
        for (int64_t j = r; j < r + rows; j++)
            row_bwd(t, w, i + j, first, keys, n, masked, w->p + j * room, w->ds + j * room);
        for (int64_t c = 0; t->dq && c < d; c += TILE_COLUMNS)
            gemm_tile(rows, d - c < TILE_COLUMNS ? d - c : TILE_COLUMNS, n, w->ds + r * room, room,
                      w->key_rows + c * keys, NULL, t->add_dq || first > 0,
                      t->dq + (i + r) * a->q_stride + c, a->q_stride);
    }
    if (t->dk) {
        pack_rows(t->h.q + i * a->q_stride, a->q_stride, queries, d, NULL, a->scale, w->query_rows);
        add_transposed(a, n, queries, w->ds, room, w->query_rows, t->add_dk || i > 0,
                       t->dk + first * a->k_stride, a->k_stride);
    }
    if (t->dv) {
        pack_rows(t->dout + i * a->o_stride, a->o_stride, queries, d, NULL, 1, w->dout_rows);
        add_transposed(a, n, queries, w->p, room, w->dout_rows, t->add_dv || i > 0,
                       t->dv + first * a->v_stride, a->v_stride);
    }
}

static void task_bwd(const struct task *t, const struct workspace *w)
{
    const struct attention *a = t->h.a;
    int64_t block = key_block(a);

    for (int64_t first = 0; first < a->nk; first += block) {
        int64_t keys = a->nk - first < block ? a->nk - first : block;
        bool masked = key_regions(&t->h, first, keys, w->seen);
        const int32_t *seen = masked ? w->seen : NULL;
        const float *k = t->h.k + first * a->k_stride, *v = t->h.v + first * a->v_stride;

        pack_columns(k, a->k_stride, keys, a->head_dim, seen, a->scale * LOG2_E, w->key_columns);
        pack_columns(v, a->v_stride, keys, a->head_dim, seen, 1, w->value_columns);
        if (t->dq)
            pack_rows(k, a->k_stride, keys, a->head_dim, seen, a->scale, w->key_rows);
        for (int64_t i = 0; i < a->nq; i += QUERY_BLOCK)
            block_bwd(t, w, i, a->nq - i < QUERY_BLOCK ? a->nq - i : QUERY_BLOCK, first, keys,
                      masked);
    }
}

static void zero_rows(int64_t rows, int64_t columns, float *x, int64_t stride)
{
    for (int64_t i = 0; i < rows; i++)
        memset(x + i * stride, 0, (size_t)columns * sizeof(float));
}

/* Whether problem n's gradients are added: always where problems share them.  Causal queries do not
 * write the gradients of keys that they do not see. */
static void start_gradients(struct task *t, const struct gradients *g, int64_t n)
{
    const struct attention *a = t->h.a;

    t->add_dq = g->add_dq || (n > 0 && !a->q_batch);
    t->add_dk = g->add_dkv || (n > 0 && !a->k_batch);
    t->add_dv = g->add_dkv || (n > 0 && !a->v_batch);
    if (!a->causal)
        return;
    if (t->dk && !t->add_dk)
        zero_rows(a->nk, a->head_dim, t->dk, a->k_stride);
    if (t->dv && !t->add_dv)
        zero_rows(a->nk, a->head_dim, t->dv, a->v_stride);
    t->add_dk = t->add_dv = true;
}

static void head_bwd(const struct attention *a, const struct gradients *g, int64_t n, int64_t h,
                     const struct workspace *w, float *dbias)
{
    int64_t at = h * a->head_dim, kv_at = h * kv_head_stride(a), oi = n * a->o_batch + at;
    struct task t = {.h = head_of(a, n, h, g->q, g->k, g->v), .dbias = dbias};

    t.o = g->o + oi;
    t.dout = g->dout + oi;
    t.lse = g->lse + (n * a->heads + h) * a->nq;
    t.dq = g->dq ? g->dq + n * a->q_batch + at : NULL;
    t.dk = g->dk ? g->dk + n * a->k_batch + kv_at : NULL;
    t.dv = g->dv ? g->dv + n * a->v_batch + kv_at : NULL;
    start_gradients(&t, g, n);
    task_bwd(&t, w);
}

/* One thread walks all problems of a head. */
static void heads_bwd(struct backend *b, const struct attention *a, const struct gradients *g,
                      float *dbias, int team)
{
#pragma omp parallel for num_threads(team) if (team > 1) schedule(dynamic)
    for (int64_t h = 0; h < a->heads; h++) {
        struct workspace w = workspace_of(b, a, omp_get_thread_num());

        for (int64_t n = 0; n < a->batch; n++)
            head_bwd(a, g, n, h, &w, dbias ? dbias + h * a->nq * a->nk : NULL);
    }
}

/* Head after head, each thread with its share of the batch and its own sum for dbias. */
static void shares_bwd(struct backend *b, const struct attention *a, const struct gradients *g,
                       float *dbias, int team)
{
    int64_t size = a->nq * a->nk;

#pragma omp parallel num_threads(team) if (team > 1)
    {
        int64_t t = omp_get_thread_num(), threads = omp_get_num_threads();
        struct workspace w = workspace_of(b, a, (int)t);

        for (int64_t h = 0; h < a->heads; h++) {
            memset(w.left, 0, (size_t)size * sizeof(float));
            for (int64_t n = a->batch * t / threads; n < a->batch * (t + 1) / threads; n++)
                head_bwd(a, g, n, h, &w, w.left);
#pragma omp barrier
            for (int64_t other = 0; other < threads; other++) {
                const float *share = workspace_of(b, a, (int)other).left;

                for (int64_t i = size * t / threads; i < size * (t + 1) / threads; i++)
                    dbias[h * size + i] += share[i];
            }
#pragma omp barrier
        }
    }
}

static void attention_bwd(struct backend *b, const struct attention *a, const void *q,
                          const void *k, const void *v, const void *o, const float *lse,
                          const void *dout, void *dq, bool add_dq, void *dk, void *dv, bool add_dkv,
                          float *dbias)
{
    const struct gradients g = {q, k, v, o, dout, lse, dq, dk, dv, add_dq, add_dkv};
    int64_t pairs = a->nq * a->nk;
    int team = cpu_team(b, (double)(a->batch * a->heads) * (double)pairs * (double)a->head_dim / 2);
    const unsigned char *scratch = cpu_thread_scratch(b, 0);
    const unsigned char *left = (const unsigned char *)workspace_of(b, a, 0).left;
    bool fits = (size_t)pairs * sizeof(float) <= CPU_SCRATCH_BYTES - (size_t)(left - scratch);
    bool shared = !a->q_batch || !a->k_batch || !a->v_batch;

    if (pairs <= 0 || a->batch <= 0)
        return;
    if (shared || (dbias && (a->heads % team == 0 || a->heads >= 4 * team || !fits))) {
        heads_bwd(b, a, &g, dbias, team);
        return;
    }
    if (dbias) {
        shares_bwd(b, a, &g, dbias, team);
        return;
    }
#pragma omp parallel for num_threads(team) if (team > 1) schedule(dynamic)
    for (int64_t i = 0; i < a->batch * a->heads; i++) {
        struct workspace w = workspace_of(b, a, omp_get_thread_num());

        head_bwd(a, &g, i / a->heads, i % a->heads, &w, NULL);
    }
}

void SIMD(install_attention_bwd)(struct backend *b)
{
    b->attention_bwd = attention_bwd;
}
