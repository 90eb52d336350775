/*
 * attention.c: scaled dot-product attention, forward.
 *
 * A task is one head of one problem and some of its queries.  Keys are taken in blocks of at most
 * KEYS_MAX: keys (transposed) and values are packed, then for every TILE_ROWS queries the scores of
 * the block are computed into a buffer that stays in the first-level cache, bias and masks are
 * applied while the row's maximum is found, and the exponentials are multiplied with the values.
 * With more than one block the softmax is the online one (Milakov & Gimelshein 2018): the output so
 * far is rescaled when a block raises the maximum.  Few queries are not worth packing for: four
 * at a time they walk keys and values as they lie, which costs little more than reading those.
 */
#include "backend/cpu/kernels/attention.h"
#include "backend/cpu/kernels/vec_math.h"

#include <omp.h>

/* Up to this many queries the keys are not packed. */
#define DIRECT_QUERIES 8
/* So many of them share each load of a key or a value. */
#define DIRECT_ROWS 4
/* Vectors of a value that are summed up side by side. */
#define DIRECT_VECTORS (VW == 16 ? 4 : 2)

/* The softmax of one query so far; top in units of ln 2. */
struct running {
    float top, sum;
};

struct task {
    struct head h;
    struct head next; /* probably this thread's next one; q NULL when there is none */
    int64_t first_query, queries;
    float *o;   /* token 0 */
    float *lse; /* [nq] or NULL */
};

struct workspace {
    float *keys, *values, *scores, *query;
    int32_t *seen;
    struct running *running;
};

/* Needs 2 * KEYS_MAX * (head_dim + TILE_COLUMNS) floats and small change of the thread's scratch:
 * enough for ATTENTION_HEAD_DIM_MAX. */
static struct workspace workspace_of(const struct backend *b, const struct attention *a)
{
    int64_t wide = round_up(a->head_dim, TILE_COLUMNS);
    struct workspace w;

    w.keys = cpu_thread_scratch(b, omp_get_thread_num());
    w.values = w.keys + KEYS_MAX * wide;
    w.scores = w.values + KEYS_MAX * wide;
    w.query = w.scores + TILE_ROWS * KEYS_MAX;
    w.seen = (int32_t *)(void *)(w.query + TILE_ROWS * wide);
    w.running = (struct running *)(void *)(w.seen + KEYS_MAX);
    return w;
}

/* Independent chains of maxima and of sums in one row. */
#define CHAINS 4

/* What a row's scores still lack; bias and seen may be NULL. */
struct row_terms {
    const float *bias;
    const int32_t *seen;
    int32_t region;
};

/* The scores from j on with bias, -INFINITY where a key is not seen; written back. */
INLINE vec finish_scores(const bool bias, const bool seen, const struct row_terms *t, int64_t keys,
                         int64_t j, float *s)
{
    vec x = v_load(s + j);

    if (bias)
        x = v_fma(v_load_first(t->bias + j, keys - j), v_set(LOG2_E), x);
    if (seen)
        x = v_where_equal(t->seen + j, t->region, x, v_set(-INFINITY));
    if (bias || seen)
        v_store(s + j, x);
    return x;
}

INLINE float row_top(const bool bias, const bool seen, const struct row_terms *t, int64_t keys,
                     float *s, float before)
{
    vec top[CHAINS];
    int64_t j = 0, whole = keys / VW * VW;

    UNROLL for (int i = 0; i < CHAINS; i++) top[i] = v_set(before);
    for (; j + CHAINS * VW <= whole; j += CHAINS * VW) {
        UNROLL for (int i = 0; i < CHAINS; i++)
        {
            top[i] = v_max(top[i], finish_scores(bias, seen, t, keys, j + i * VW, s));
        }
    }
    for (; j < keys; j += VW)
        top[0] = v_max(top[0], finish_scores(bias, seen, t, keys, j, s));
    return v_top(v_max(v_max(top[0], top[1]), v_max(top[2], top[3])));
}

/* s = 2^(s - shift); tells their sum. */
static float row_exponentials(int64_t keys, float *s, float shift)
{
    vec sum[CHAINS];
    int64_t j = 0;

    UNROLL for (int i = 0; i < CHAINS; i++) sum[i] = v_set(0);
    for (; j + CHAINS * VW <= keys; j += CHAINS * VW) {
        UNROLL for (int i = 0; i < CHAINS; i++)
        {
            vec e = v_exp2_down(v_load(s + j + i * VW) - v_set(shift));

            v_store(s + j + i * VW, e);
            sum[i] = sum[i] + e;
        }
    }
    for (; j < keys; j += VW) {
        vec e = v_exp2_down(v_load(s + j) - v_set(shift));

        v_store(s + j, e);
        sum[0] = sum[0] + e;
    }
    return v_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

/*
 * Scores s[0, keys) become exponentials relative to the row's maximum so far; returns the factor by
 * which what was summed before must be scaled.  s has room to the next whole vector, and the
 * exponentials there are 0.
 */
static float softmax_row(int64_t keys, float *s, const struct row_terms *t, struct running *row)
{
    float before = row->top, factor;

    for (int64_t j = keys; j < round_up(keys, VW); j++)
        s[j] = -INFINITY;
    if (t->seen)
        row->top = t->bias ? row_top(true, true, t, keys, s, before)
                           : row_top(false, true, t, keys, s, before);
    else
        row->top = t->bias ? row_top(true, false, t, keys, s, before)
                           : row_top(false, false, t, keys, s, before);
    factor = before == row->top ? 1 : before == -INFINITY ? 0 : exp2f(before - row->top);
    /* -inf - -inf is not a number; a row that has seen nothing may take any finite shift */
    row->sum = row->sum * factor + row_exponentials(keys, s, row->top == -INFINITY ? 0 : row->top);
    return factor;
}

static void scale_row(int64_t n, float factor, float *x)
{
    int64_t i = 0;

    for (; i + VW <= n; i += VW)
        v_store(x + i, v_load(x + i) * v_set(factor));
    for (; i < n; i++)
        x[i] *= factor;
}

/* Divides by the softmax's denominator and tells its logarithm. */
static void finish_row(const struct task *t, int64_t i, const struct running *row)
{
    const struct attention *a = t->h.a;

    scale_row(a->head_dim, row->sum > 0 || row->sum != row->sum ? 1 / row->sum : 0,
              t->o + i * a->o_stride);
    if (t->lse)
        t->lse[i] = row->sum == 0 ? -INFINITY : LN_2 * (row->top + log2f(row->sum));
}

static struct row_terms row_terms(const struct task *t, const struct workspace *w, int64_t i,
                                  int64_t first, bool masked)
{
    return (struct row_terms){
        .bias = t->h.bias ? t->h.bias + i * t->h.a->nk + first : NULL,
        .seen = masked ? w->seen : NULL,
        .region = t->h.region ? t->h.region[i] : 0,
    };
}

/* Asks for what the next task reads of the tokens [i, i + rows): their keys and values will be
 * packed, row by row and far apart, before anything is computed.  And for the next rows of o. */
static void ask_for_next(const struct task *t, int64_t i, int rows)
{
    const struct attention *a = t->h.a;
    int64_t end = t->first_query + t->queries;

    for (int64_t j = i; j < i + rows; j++)
        for (int64_t c = 0; c < a->head_dim; c += LINE_FLOATS) {
            if (j + TILE_ROWS < end)
                __builtin_prefetch(t->o + (j + TILE_ROWS) * a->o_stride + c, 1, 2);
            if (!t->next.q)
                continue;
            __builtin_prefetch(t->next.q + j * a->q_stride + c, 0, 2);
            __builtin_prefetch(t->next.k + j * a->k_stride + c, 0, 2);
            __builtin_prefetch(t->next.v + j * a->v_stride + c, 0, 2);
        }
}

/* TILE_ROWS queries from i on against the packed keys [first, first + keys). */
static void attend_tile(const struct task *t, const struct workspace *w, int64_t i, int rows,
                        int64_t first, int64_t keys, bool masked)
{
    const struct attention *a = t->h.a;
    int64_t seen_keys = causal_keys(a, i + rows - 1, first, keys);
    int64_t d = a->head_dim, row_room = round_up(keys, TILE_COLUMNS);
    /* the bias of the next tile's rows */
    struct gemm_ahead ahead = {w->keys, 0};

    if (t->h.bias)
        ahead = (struct gemm_ahead){t->h.bias + (i + TILE_ROWS) * a->nk + first, LINE_FLOATS};
    if (first == 0)
        ask_for_next(t, i, rows);
    for (int64_t j = 0; j < seen_keys; j += TILE_COLUMNS) {
        gemm_tile_ahead(rows, tile_columns(seen_keys - j), d, t->h.q + i * a->q_stride, a->q_stride,
                        w->keys + j * d, NULL, false, w->scores + j, row_room, ahead);
        ahead.from += d / 2 * ahead.step;
    }
    for (int r = 0; r < rows; r++) {
        int64_t n = causal_keys(a, i + r, first, keys);
        float *s = w->scores + r * row_room, factor;

        const struct row_terms terms = row_terms(t, w, i + r, first, masked);

        factor = softmax_row(n, s, &terms, &w->running[i + r - t->first_query]);
        for (int64_t j = round_up(n, VW); j < seen_keys; j++)
            s[j] = 0;
        if (first > 0 && factor != 1)
            scale_row(d, factor, t->o + (i + r) * a->o_stride);
    }
    for (int64_t c = 0; c < d; c += TILE_COLUMNS)
        gemm_tile_ahead(rows, d - c < TILE_COLUMNS ? d - c : TILE_COLUMNS, seen_keys, w->scores,
                        row_room, w->values + c * keys, NULL, first > 0, t->o + i * a->o_stride + c,
                        a->o_stride, ahead);
    for (int r = 0; r < rows && first + keys == a->nk; r++)
        finish_row(t, i + r, &w->running[i + r - t->first_query]);
}

static void attend_packed(const struct task *t, const struct workspace *w)
{
    const struct attention *a = t->h.a;
    int64_t block = key_block(a), end = t->first_query + t->queries;

    for (int64_t i = 0; i < t->queries; i++)
        w->running[i] = (struct running){-INFINITY, 0};
    for (int64_t first = 0; first < a->nk; first += block) {
        int64_t keys = a->nk - first < block ? a->nk - first : block;
        bool masked = key_regions(&t->h, first, keys, w->seen);
        const int32_t *seen = masked ? w->seen : NULL;

        pack_columns(t->h.k + first * a->k_stride, a->k_stride, keys, a->head_dim, seen,
                     a->scale * LOG2_E, w->keys);
        pack_rows(t->h.v + first * a->v_stride, a->v_stride, keys, a->head_dim, seen, 1, w->values);
        for (int64_t i = t->first_query; i < end; i += TILE_ROWS)
            attend_tile(t, w, i, end - i < TILE_ROWS ? (int)(end - i) : TILE_ROWS, first, keys,
                        masked);
    }
}

/* ---- few queries ---- */

/* to[rows][columns] = scale * x, rows next to each other. */
static void copy_scaled(int64_t rows, int64_t columns, float scale, const float *x, int64_t stride,
                        float *to)
{
    for (int64_t i = 0; i < rows; i++, x += stride, to += columns)
        for (int64_t c = 0; c < columns; c += VW) {
            int64_t n = columns - c;

            v_store_first(to + c, n, v_set(scale) * v_load_first(x + c, n));
        }
}

/* s[r * room + j] = q[r].k[j] for r < rows, which divides VW; q's rows are next to each other. */
INLINE void score_keys(const int rows, int64_t d, const float *q, int64_t keys, const float *k,
                       int64_t stride, float *s, int64_t room)
{
    const int at_once = VW / rows;
    int64_t whole = d / VW * VW;

    for (int64_t j = 0; j < keys; j += at_once) {
        int64_t left = keys - j;
        const float *key[VW];
        vec sum[VW], total;
        float scores[VW];

        UNROLL for (int c = 0; c < at_once; c++)
        {
            key[c] = k + (j + (c < left ? c : 0)) * stride;
        }
        UNROLL for (int i = 0; i < VW; i++)
        {
            sum[i] = v_set(0);
        }
        for (int64_t i = 0; i < d; i += VW) {
            vec query[DIRECT_ROWS];

            UNROLL for (int r = 0; r < rows; r++)
            {
                query[r] = i < whole ? v_load(q + r * d + i) : v_load_first(q + r * d + i, d - i);
            }
            UNROLL for (int c = 0; c < at_once; c++)
            {
                vec part = i < whole ? v_load(key[c] + i) : v_load_first(key[c] + i, d - i);

                UNROLL for (int r = 0; r < rows; r++)
                {
                    sum[r * at_once + c] = v_fma(query[r], part, sum[r * at_once + c]);
                }
            }
        }
        v_transpose(sum); /* lane i of the total is the sum over sum[i] */
        total = sum[0];
        UNROLL for (int i = 1; i < VW; i++)
        {
            total = total + sum[i];
        }
        v_store(scores, total);
        for (int r = 0; r < rows; r++)
            for (int64_t c = 0; c < at_once && c < left; c++)
                s[r * room + j + c] = scores[r * at_once + c];
    }
}

/* o[r, 0..d) = sum_j s[r * room + j] v[j, 0..d) for `rows` rows, of which only the first `there`
 * are stored.  Keys that nobody sees are skipped: their values may be anything. */
INLINE void sum_values(const int rows, int there, int64_t keys, int64_t d, const float *s,
                       int64_t room, const float *v, int64_t stride, const int32_t *seen, bool add,
                       float *o, int64_t o_stride)
{
    for (int64_t c = 0; c < d; c += DIRECT_VECTORS * VW) {
        bool whole = d - c >= DIRECT_VECTORS * VW;
        vec sum[DIRECT_ROWS][DIRECT_VECTORS];

        UNROLL for (int r = 0; r < rows; r++)
        {
            UNROLL for (int i = 0; i < DIRECT_VECTORS; i++)
            {
                int64_t n = d - c - i * VW;

                sum[r][i] = add && r < there && n > 0
                                ? v_load_first(o + r * o_stride + c + i * VW, n)
                                : v_set(0);
            }
        }
        for (int64_t j = 0; j < keys; j++) {
            const float *value = v + j * stride + c;
            vec part[DIRECT_VECTORS];

            if (seen && seen[j] == REGION_HIDDEN)
                continue;
            UNROLL for (int i = 0; i < DIRECT_VECTORS; i++)
            {
                int64_t n = d - c - i * VW;

                part[i] = whole   ? v_load(value + i * VW)
                          : n > 0 ? v_load_first(value + i * VW, n)
                                  : v_set(0);
            }
            UNROLL for (int r = 0; r < rows; r++)
            {
                vec p = v_set(s[r * room + j]);

                UNROLL for (int i = 0; i < DIRECT_VECTORS; i++)
                {
                    sum[r][i] = v_fma(p, part[i], sum[r][i]);
                }
            }
        }
        for (int r = 0; r < there; r++)
            for (int i = 0; i < DIRECT_VECTORS; i++) {
                int64_t n = d - c - i * VW;

                if (n > 0)
                    v_store_first(o + r * o_stride + c + i * VW, n, sum[r][i]);
            }
    }
}

/* Queries i .. i + there - 1, at most `rows`. */
INLINE void attend_rows(const int rows, const struct task *t, const struct workspace *w, int64_t i,
                        int there)
{
    const struct attention *a = t->h.a;
    int64_t block = key_block(a), room = round_up(block, VW), d = a->head_dim;
    struct running row[DIRECT_ROWS];
    float *o = t->o + i * a->o_stride;

    copy_scaled(there, d, a->scale * LOG2_E, t->h.q + i * a->q_stride, a->q_stride, w->query);
    memset(w->query + there * d, 0, (size_t)((rows - there) * d) * sizeof(float));
    for (int r = 0; r < there; r++)
        row[r] = (struct running){-INFINITY, 0};
    for (int64_t first = 0; first < a->nk; first += block) {
        int64_t keys = a->nk - first < block ? a->nk - first : block;
        int64_t most = causal_keys(a, i + there - 1, first, keys);
        bool masked = key_regions(&t->h, first, keys, w->seen);

        score_keys(rows, d, w->query, most, t->h.k + first * a->k_stride, a->k_stride, w->scores,
                   room);
        for (int r = 0; r < there; r++) {
            int64_t n = causal_keys(a, i + r, first, keys);
            float *s = w->scores + r * room;
            const struct row_terms terms = row_terms(t, w, i + r, first, masked);
            float factor = softmax_row(n, s, &terms, &row[r]);

            for (int64_t j = n; j < most; j++)
                s[j] = 0;
            if (first > 0 && factor != 1)
                scale_row(d, factor, o + r * a->o_stride);
        }
        sum_values(rows, there, most, d, w->scores, room, t->h.v + first * a->v_stride, a->v_stride,
                   masked ? w->seen : NULL, first > 0, o, a->o_stride);
    }
    for (int r = 0; r < there; r++)
        finish_row(t, i + r, &row[r]);
}

static void attend_one(const struct task *t, const struct workspace *w, int64_t i)
{
    attend_rows(1, t, w, i, 1);
}

static void attend_few(const struct task *t, const struct workspace *w, int64_t i, int there)
{
    attend_rows(DIRECT_ROWS, t, w, i, there);
}

static void attend_direct(const struct task *t, const struct workspace *w)
{
    int64_t end = t->first_query + t->queries;

    for (int64_t i = t->first_query; i < end; i += DIRECT_ROWS) {
        int there = end - i < DIRECT_ROWS ? (int)(end - i) : DIRECT_ROWS;

        if (there == 1)
            attend_one(t, w, i);
        else
            attend_few(t, w, i, there);
    }
}

/* ---- slots ---- */

/* For pictures only, so plainly: p[i, j] = exp(score - lse). */
static void head_probabilities(const struct head *h, float *p)
{
    const struct attention *a = h->a;

    for (int64_t i = 0; i < a->nq; i++) {
        float *row = p + i * a->nk, top = -INFINITY, sum = 0;
        int64_t n = causal_keys(a, i, 0, a->nk);

        for (int64_t j = 0; j < a->nk; j++) {
            row[j] = -INFINITY;
            if (j >= n || (h->key_mask && !h->key_mask[j]) ||
                (h->region && h->region[i] != h->region[j]))
                continue;
            row[j] = a->scale * dot(a->head_dim, h->q + i * a->q_stride, h->k + j * a->k_stride) +
                     (h->bias ? h->bias[i * a->nk + j] : 0);
            top = row[j] > top ? row[j] : top;
        }
        for (int64_t j = 0; j < a->nk; j++)
            sum += row[j] = row[j] == -INFINITY ? 0 : expf(row[j] - top);
        for (int64_t j = 0; j < a->nk && sum > 0; j++)
            row[j] /= sum;
    }
}

static void zero_output(const struct task *t)
{
    const struct attention *a = t->h.a;

    for (int64_t i = t->first_query; i < t->first_query + t->queries; i++) {
        memset(t->o + i * a->o_stride, 0, (size_t)a->head_dim * sizeof(float));
        if (t->lse)
            t->lse[i] = -INFINITY;
    }
}

static void run_task(struct backend *b, const struct task *t)
{
    const struct attention *a = t->h.a;
    struct workspace w = workspace_of(b, a);

    if (a->nk <= 0) {
        zero_output(t);
        return;
    }
    if (a->nq > DIRECT_QUERIES) {
        attend_packed(t, &w);
        return;
    }
    attend_direct(t, &w);
}

static void attention_fwd(struct backend *b, const struct attention *a, const void *q,
                          const void *k, const void *v, void *o, float *lse, float *probabilities)
{
    double work = (double)(a->batch * a->heads) * (double)(a->nq * a->nk) * (double)a->head_dim / 4;
    int64_t heads = a->batch * a->heads, parts = (a->nq + QUERIES_MAX - 1) / QUERIES_MAX, queries;
    int team = cpu_team(b, work);

    if (a->nq <= 0 || heads <= 0)
        return;
    while (heads * parts < 2 * team && a->nq / parts > 8 * TILE_ROWS)
        parts++;
    queries = round_up(ceil_div(a->nq, parts), TILE_ROWS);
    parts = (a->nq + queries - 1) / queries;
#pragma omp parallel for num_threads(team) if (team > 1) schedule(dynamic)
    for (int64_t i = 0; i < heads * parts; i++) {
        int64_t n = i / parts / a->heads, h = i / parts % a->heads, first = i % parts * queries;
        struct task t = {.h = head_of(a, n, h, q, k, v), .first_query = first};
        int64_t next = (i + team) / parts;

        if (parts == 1 && a->nq == a->nk && next < heads)
            t.next = head_at(a, next / a->heads, next % a->heads, q, k, v);
        t.queries = a->nq - first < queries ? a->nq - first : queries;
        t.o = (float *)o + n * a->o_batch + h * a->head_dim;
        t.lse = lse ? lse + (n * a->heads + h) * a->nq : NULL;
        run_task(b, &t);
        if (probabilities && first == 0)
            head_probabilities(&t.h, probabilities + (n * a->heads + h) * a->nq * a->nk);
    }
}

void SIMD(install_attention)(struct backend *b)
{
    b->attention_fwd = attention_fwd;
}
