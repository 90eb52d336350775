/*
 * attention.h: what the forward and the backward attention kernels share: how a problem is cut into
 * blocks of keys, who may see whom, and packing.
 */
#ifndef EARSHOT_BACKEND_CPU_KERNELS_ATTENTION_H
#define EARSHOT_BACKEND_CPU_KERNELS_ATTENTION_H

#include "backend/cpu/kernels/gemm.h"

/* Keys per block: a tile of scores stays in the first-level cache, packed keys and values in the
 * second. */
#define KEYS_MAX 512
/* Queries per task at most. */
#define QUERIES_MAX 2048
/* Scores are kept in units of ln 2, so that exponentials are powers of 2. */
#define LOG2_E 1.44269504f
#define LN_2 0.693147181f
/* No query has this region. */
#define REGION_HIDDEN INT32_MIN

/* One head of one problem. */
struct head {
    const struct attention *a;
    int64_t batch, head;
    const float *q, *k, *v;  /* token 0 */
    const float *bias;       /* [nq, nk] or NULL */
    const uint8_t *key_mask; /* [nk] or NULL */
    const int32_t *region;   /* [nk] or NULL; NULL too when there is only one region */
};

/* From a head of k and v to the next. */
static inline int64_t kv_head_stride(const struct attention *a)
{
    return a->kv_head ? a->kv_head : a->head_dim;
}

/* Where a head's rows are, and nothing else of it. */
static inline struct head head_at(const struct attention *a, int64_t batch, int64_t head,
                                  const float *q, const float *k, const float *v)
{
    return (struct head){.a = a,
                         .batch = batch,
                         .head = head,
                         .q = q + batch * a->q_batch + head * a->head_dim,
                         .k = k + batch * a->k_batch + head * kv_head_stride(a),
                         .v = v + batch * a->v_batch + head * kv_head_stride(a)};
}

static inline struct head head_of(const struct attention *a, int64_t batch, int64_t head,
                                  const float *q, const float *k, const float *v)
{
    struct head h = head_at(a, batch, head, q, k, v);
    const int32_t *region = a->region ? a->region + batch % a->regions * a->nk : NULL;

    h.bias = a->bias ? a->bias + head * a->nq * a->nk : NULL;
    h.key_mask = a->key_mask ? a->key_mask + batch * a->nk : NULL;
    for (int64_t j = 1; region && j < a->nk; j++)
        if (region[j] != region[0]) {
            h.region = region;
            break;
        }
    return h;
}

/* How many of the keys from `first` on causality lets query i see. */
static inline int64_t causal_keys(const struct attention *a, int64_t i, int64_t first, int64_t keys)
{
    int64_t seen = a->causal ? i + a->nk - a->nq + 1 - first : keys;

    return seen < 0 ? 0 : seen < keys ? seen : keys;
}

/* Keys per block: equal blocks, whole panels. */
static inline int64_t key_block(const struct attention *a)
{
    int64_t blocks = ceil_div(a->nk, KEYS_MAX);

    return blocks ? round_up(ceil_div(a->nk, blocks), TILE_COLUMNS) : 0;
}

/*
 * seen[j] for the keys [first, first + keys): the region of key j, REGION_HIDDEN where the mask
 * hides it and up to the next whole panel.  Returns false, writing nothing, when every key is seen
 * by all.
 */
static inline bool key_regions(const struct head *h, int64_t first, int64_t keys, int32_t *seen)
{
    if (!h->key_mask && !h->region)
        return false;
    for (int64_t j = 0; j < keys; j++) {
        seen[j] = h->region ? h->region[first + j] : 0;
        if (h->key_mask && !h->key_mask[first + j])
            seen[j] = REGION_HIDDEN;
    }
    for (int64_t j = keys; j < round_up(keys, TILE_COLUMNS); j++)
        seen[j] = REGION_HIDDEN;
    return true;
}

static inline float dot(int64_t n, const float *x, const float *y)
{
    vec sum = v_set(0);

    for (int64_t i = 0; i < n; i += VW)
        sum = v_fma(v_load_first(x + i, n - i), v_load_first(y + i, n - i), sum);
    return v_sum(sum);
}

/* Columns of a tile of scores when so many keys are left: whole vectors. */
static inline int64_t tile_columns(int64_t keys)
{
    return keys > VW ? TILE_COLUMNS : VW;
}

/* factor * rows of x as panels of columns, [columns / TILE_COLUMNS][keys][TILE_COLUMNS]; hidden
 * rows are 0, as what stands there may be anything. */
static inline void pack_rows(const float *x, int64_t stride, int64_t keys, int64_t columns,
                             const int32_t *seen, float factor, float *to)
{
    for (int64_t c = 0; c < columns; c += TILE_COLUMNS, to += keys * TILE_COLUMNS) {
        gemm_pack(keys, columns - c < TILE_COLUMNS ? columns - c : TILE_COLUMNS, x + c, stride,
                  factor, to);
        for (int64_t j = 0; seen && j < keys; j++)
            if (seen[j] == REGION_HIDDEN)
                memset(to + j * TILE_COLUMNS, 0, TILE_COLUMNS * sizeof(float));
    }
}

/* factor * rows of x as columns, [keys / TILE_COLUMNS][columns][TILE_COLUMNS]; hidden keys are 0.
 */
static inline void pack_columns(const float *x, int64_t stride, int64_t keys, int64_t columns,
                                const int32_t *seen, float factor, float *to)
{
    for (int64_t j = 0; j < keys; j += TILE_COLUMNS, to += columns * TILE_COLUMNS) {
        int64_t n = keys - j < TILE_COLUMNS ? keys - j : TILE_COLUMNS;

        gemm_pack_transposed(columns, n, x + j * stride, stride, factor, to);
        for (int64_t i = 0; seen && i < n; i++)
            if (seen[j + i] == REGION_HIDDEN)
                for (int64_t c = 0; c < columns; c++)
                    to[c * TILE_COLUMNS + i] = 0;
    }
}

#endif
