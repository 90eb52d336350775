/*
 * attention_bwd.c: gradients of scaled dot-product attention.
 *
 * With P from the stored lse and D_i = do_i . o_i:
 *   dS_ij = P_ij (do_i . v_j - D_i);  dq_i += scale dS_ij k_j;  dk_j += scale dS_ij q_i;
 *   dv_j += P_ij do_i;  dbias_ij += dS_ij.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/attention.h"

#include <math.h>
#include <omp.h>

/* s[nk] = the scores of query i, -INFINITY where it may not look; returns the largest. */
static inline float attention_scores(const struct attention *a, int64_t batch, int64_t head,
                                     int64_t i, const float *q, const float *k, float *s)
{
    const uint8_t *mask = a->key_mask ? a->key_mask + batch * a->nk : NULL;
    const float *bias = a->bias ? a->bias + (head * a->nq + i) * a->nk : NULL;
    const int32_t *region = a->region ? a->region + batch % a->regions * a->nq : NULL;
    int64_t last = a->causal ? i + a->nk - a->nq : a->nk - 1;
    float top = -INFINITY;

    for (int64_t j = 0; j < a->nk; j++) {
        const float *row = k + j * a->k_stride;
        float dot = 0;

        s[j] = -INFINITY;
        if (j > last || (mask && !mask[j]) || (region && region[i] != region[j]))
            continue;
#pragma omp simd reduction(+ : dot)
        for (int64_t c = 0; c < a->head_dim; c++)
            dot += q[c] * row[c];
        s[j] = a->scale * dot + (bias ? bias[j] : 0);
        if (s[j] > top)
            top = s[j];
    }
    return top;
}

struct gradients {
    const float *q, *k, *v, *o, *dout, *lse;
    float *dq, *dk, *dv, *dbias;
};

static float dot(int64_t n, const float *x, const float *y)
{
    float sum = 0;

#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

static void add_scaled(int64_t n, float alpha, const float *x, float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += alpha * x[i];
}

static void query_bwd(const struct attention *a, int64_t n, int64_t h, int64_t i,
                      const struct gradients *g, float *s)
{
    int64_t d = a->head_dim, at = h * d;
    int64_t qi = n * a->q_batch + i * a->q_stride + at, oi = n * a->o_batch + i * a->o_stride + at;
    float lse = g->lse[(n * a->heads + h) * a->nq + i], delta;

    if (lse == -INFINITY)
        return;
    attention_scores(a, n, h, i, g->q + qi, g->k + n * a->k_batch + at, s);
    delta = dot(d, g->dout + oi, g->o + oi);
    for (int64_t j = 0; j < a->nk; j++) {
        int64_t kj = n * a->k_batch + j * a->k_stride + at;
        int64_t vj = n * a->v_batch + j * a->v_stride + at;
        float p, ds;

        if (s[j] == -INFINITY)
            continue;
        p = expf(s[j] - lse);
        ds = p * (dot(d, g->dout + oi, g->v + vj) - delta);
        if (g->dq)
            add_scaled(d, a->scale * ds, g->k + kj, g->dq + qi);
        if (g->dk)
            add_scaled(d, a->scale * ds, g->q + qi, g->dk + kj);
        if (g->dv)
            add_scaled(d, p, g->dout + oi, g->dv + vj);
        if (g->dbias)
            g->dbias[(h * a->nq + i) * a->nk + j] += ds;
    }
}

static void attention_bwd(struct backend *b, const struct attention *a, const void *q,
                          const void *k, const void *v, const void *o, const float *lse,
                          const void *dout, void *dq, void *dk, void *dv, float *dbias)
{
    const struct gradients g = {q, k, v, o, dout, lse, dq, dk, dv, dbias};
    /* Problems that add into the same place must be walked by one thread. */
    bool shared = dbias || !a->q_batch || !a->k_batch || !a->v_batch;
    int64_t inner = shared ? a->batch : 1, tasks = a->batch * a->heads / (inner ? inner : 1);
    int team = cpu_team(b, (double)(tasks * inner) * (double)(a->nq * a->nk * a->head_dim));

#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t t = 0; t < tasks; t++)
        for (int64_t n = 0; n < inner; n++)
            for (int64_t i = 0; i < a->nq; i++)
                query_bwd(a, shared ? n : t / a->heads, t % a->heads, i, &g,
                          cpu_thread_scratch(b, omp_get_thread_num()));
}

void SIMD(install_attention_bwd)(struct backend *b)
{
    b->attention_bwd = attention_bwd;
}
