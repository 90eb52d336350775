/*
 * attention.c: scaled dot-product attention, forward.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/attention.h"

#include <math.h>
#include <omp.h>

/* One query of one head: scores into s, softmax, weighted sum of values into o. */
static void attend_row(const struct attention *a, int64_t batch, int64_t head, int64_t i,
                       const float *q, const float *k, const float *v, float *s, float *o,
                       float *lse)
{
    float top, sum = 0, inverse;

    top = attention_scores(a, batch, head, i, q, k, s);
    for (int64_t c = 0; c < a->head_dim; c++)
        o[c] = 0;
    if (top == -INFINITY) {
        for (int64_t j = 0; j < a->nk; j++)
            s[j] = 0;
        *lse = -INFINITY;
        return;
    }
    for (int64_t j = 0; j < a->nk; j++) {
        s[j] = expf(s[j] - top);
        sum += s[j];
    }
    inverse = 1 / sum;
    for (int64_t j = 0; j < a->nk; j++) {
        const float *row = v + j * a->v_stride;
        float p = s[j] *= inverse;

        if (p > 0)
            for (int64_t c = 0; c < a->head_dim; c++)
                o[c] += p * row[c];
    }
    *lse = top + logf(sum);
}

static void attention_fwd(struct backend *b, const struct attention *a, const void *q,
                          const void *k, const void *v, void *o, float *lse, float *probabilities)
{
    const float *qf = q, *kf = k, *vf = v;
    float *of = o;
    int64_t tasks = a->batch * a->heads * a->nq;
    int team = cpu_team(b, (double)tasks * (double)a->nk * (double)a->head_dim);

#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t t = 0; t < tasks; t++) {
        int64_t i = t % a->nq, h = t / a->nq % a->heads, n = t / a->nq / a->heads;
        float *s =
            probabilities ? probabilities + t * a->nk : cpu_thread_scratch(b, omp_get_thread_num());
        float unused;

        attend_row(a, n, h, i, qf + n * a->q_batch + i * a->q_stride + h * a->head_dim,
                   kf + n * a->k_batch + h * a->head_dim, vf + n * a->v_batch + h * a->head_dim, s,
                   of + n * a->o_batch + i * a->o_stride + h * a->head_dim,
                   lse ? lse + t : &unused);
    }
}

void SIMD(install_attention)(struct backend *b)
{
    b->attention_fwd = attention_fwd;
}
