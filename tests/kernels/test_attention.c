/*
 * test_attention.c: attention forward and backward against plain double loops, with every kind of
 * mask, bias, packed layouts, queries that see nothing, and shared keys.
 */
#include "support/kernels.h"

#include <math.h>
#include <string.h>

/* Scores reach 25, where a float is exact to 1e-6; gradients multiply that by terms of size 10. */
#define GRADIENT_TOLERANCE 4e-5

enum {
    BIAS = 1,
    KEY_MASK = 2,
    CAUSAL = 4,
    REGION = 8,
    PACKED = 16,
    SHARED_KEYS = 32,
    BLIND = 64,
    BY_HEAD = 128 /* each head's keys on their own */
};

struct shape {
    int64_t batch, heads, nq, nk, head_dim;
    int flags;
};

static const struct shape shapes[] = {
    {0, 2, 3, 3, 4, 0},
    {2, 1, 0, 3, 4, 0},
    {2, 2, 3, 0, 4, 0},
    {1, 1, 1, 1, 1, 0},
    {2, 3, 5, 5, 3, PACKED},
    {1, 2, 17, 33, 32, BIAS},
    {2, 2, 33, 17, 64, KEY_MASK},
    {3, 2, 1, 19, 16, 0},
    {4, 3, 1, 40, 64, KEY_MASK | SHARED_KEYS},
    {2, 1, 1, 600, 32, KEY_MASK},
    {2, 2, 19, 19, 32, CAUSAL | PACKED},
    {1, 2, 7, 23, 8, CAUSAL},
    {2, 1, 23, 7, 17, CAUSAL},
    {4, 3, 49, 49, 32, BIAS | REGION | PACKED},
    {2, 2, 40, 40, 20, BIAS | REGION | KEY_MASK | CAUSAL | PACKED},
    {2, 2, 31, 45, 48, KEY_MASK | BLIND | BIAS},
    {2, 2, 1, 12, 24, KEY_MASK | BLIND},
    {1, 1, 130, 700, 64, BIAS},
    {1, 2, 70, 1030, 32, CAUSAL | KEY_MASK},
    {1, 1, 20, 90, 130, 0},
    {1, 1, 3, 40, 300, KEY_MASK},
    {3, 2, 65, 130, 33, SHARED_KEYS | BIAS},
    {2, 3, 4, 37, 64, KEY_MASK | BY_HEAD},
    {2, 2, 5, 70, 19, BIAS | BY_HEAD},
    {1, 2, 8, 1100, 80, KEY_MASK | BY_HEAD},
    {1, 2, 6, 530, 40, CAUSAL | BIAS},
    {3, 2, 2, 9, 7, CAUSAL | KEY_MASK | BY_HEAD},
    {2, 2, 7, 7, 12, REGION | KEY_MASK | PACKED},
    {2, 1, 3, 21, 16, KEY_MASK | BLIND},
    {2, 2, 30, 50, 24, KEY_MASK | BY_HEAD},
};

struct problem {
    struct kernel_run run;
    struct attention a; /* pointers on the host */
    struct attention d; /* pointers on the device */
    float *q, *k, *v, *dout;
    int64_t q_size, k_size, v_size, o_size;
    int64_t lse_size, p_size, bias_size;
};

static void make_masks(struct problem *p, const struct shape *s)
{
    int64_t n = s->batch * s->nk;

    if (s->flags & BIAS) {
        p->a.bias = kernel_random(&p->run, p->bias_size, 1);
        p->d.bias = kernel_put_floats(&p->run, p->a.bias, p->bias_size);
    }
    if (s->flags & KEY_MASK) {
        uint8_t *mask = kernel_host(&p->run, (size_t)n);

        for (int64_t i = 0; i < n; i++)
            mask[i] = (i * 7 % 5) != 0;
        if (s->flags & BLIND) /* the first problem's keys are all hidden */
            memset(mask, 0, (size_t)s->nk);
        p->a.key_mask = mask;
        p->d.key_mask = kernel_put(&p->run, mask, (size_t)n);
    }
    if (s->flags & REGION) {
        int64_t regions = 2;
        int32_t *region = kernel_host(&p->run, (size_t)(regions * s->nq) * sizeof *region);

        for (int64_t i = 0; i < s->nq; i++) {
            region[i] = 7; /* one region for all */
            region[s->nq + i] = (int32_t)(i % 3);
        }
        p->a.region = region;
        p->a.regions = p->d.regions = regions;
        p->d.region = kernel_put(&p->run, region, (size_t)(regions * s->nq) * sizeof *region);
    }
}

static void make_problem(struct problem *p, const struct shape *s, struct backend *b)
{
    int64_t width = s->heads * s->head_dim, gap = 5, k_one, v_one;
    struct attention *a = &p->a;

    *p = (struct problem){.run = {.b = b}};
    *a = (struct attention){.batch = s->batch,
                            .heads = s->heads,
                            .nq = s->nq,
                            .nk = s->nk,
                            .head_dim = s->head_dim,
                            .scale = 0.4f,
                            .causal = s->flags & CAUSAL};
    if (s->flags & PACKED) /* q, k, v side by side in each token */
        a->q_stride = a->k_stride = a->v_stride = 3 * width;
    else
        a->q_stride = width, a->k_stride = width + gap, a->v_stride = width + 1;
    if (s->flags & BY_HEAD) {
        a->k_stride = a->v_stride = s->head_dim + 1;
        a->kv_head = s->nk * a->k_stride;
    }
    a->o_stride = width;
    a->q_batch = s->nq * a->q_stride;
    k_one = s->flags & BY_HEAD ? s->heads * a->kv_head : s->nk * a->k_stride;
    v_one = s->flags & BY_HEAD ? s->heads * a->kv_head : s->nk * a->v_stride;
    a->k_batch = s->flags & SHARED_KEYS ? 0 : k_one;
    a->v_batch = s->flags & SHARED_KEYS ? 0 : v_one;
    a->o_batch = s->nq * a->o_stride;
    p->d = *a;
    p->q_size = s->batch * s->nq * a->q_stride;
    p->k_size = (s->flags & SHARED_KEYS ? 1 : s->batch) * k_one;
    p->v_size = (s->flags & SHARED_KEYS ? 1 : s->batch) * v_one;
    p->o_size = s->batch * s->nq * a->o_stride;
    p->lse_size = s->batch * s->heads * s->nq;
    p->p_size = p->lse_size * s->nk;
    p->bias_size = s->heads * s->nq * s->nk;
    p->q = kernel_random(&p->run, p->q_size, 1);
    p->k = p->q + width; /* PACKED; replaced below otherwise */
    p->v = p->q + 2 * width;
    if (!(s->flags & PACKED)) {
        p->k = kernel_random(&p->run, p->k_size, 1);
        p->v = kernel_random(&p->run, p->v_size, 1);
    }
    p->dout = kernel_random(&p->run, p->o_size, 1);
    make_masks(p, s);
}

/* Where a head's keys and values begin. */
static int64_t kv_head(const struct attention *a, int64_t h)
{
    return h * (a->kv_head ? a->kv_head : a->head_dim);
}

static bool visible(const struct attention *a, int64_t n, int64_t i, int64_t j)
{
    if (a->key_mask && !a->key_mask[n * a->nk + j])
        return false;
    if (a->causal && j > i + a->nk - a->nq)
        return false;
    if (a->region) {
        const int32_t *region = a->region + n % a->regions * a->nq;

        return region[i] == region[j];
    }
    return true;
}

struct expected {
    double *o, *lse, *p, *dq, *dk, *dv, *dbias;
};

/* Probabilities of one query and its lse. */
static double softmax_row(const struct problem *pr, int64_t n, int64_t h, int64_t i, double *p)
{
    const struct attention *a = &pr->a;
    const float *q = pr->q + n * a->q_batch + i * a->q_stride + h * a->head_dim;
    double top = -INFINITY, sum = 0;

    for (int64_t j = 0; j < a->nk; j++) {
        const float *k = pr->k + n * a->k_batch + j * a->k_stride + kv_head(a, h);
        double s = 0;

        for (int64_t c = 0; c < a->head_dim; c++)
            s += (double)q[c] * (double)k[c];
        s = s * (double)a->scale + (a->bias ? (double)a->bias[(h * a->nq + i) * a->nk + j] : 0);
        p[j] = visible(a, n, i, j) ? s : -INFINITY;
        top = fmax(top, p[j]);
    }
    for (int64_t j = 0; j < a->nk; j++)
        sum += p[j] = top > -INFINITY ? exp(p[j] - top) : 0;
    for (int64_t j = 0; j < a->nk; j++)
        p[j] = sum > 0 ? p[j] / sum : 0;
    return top + log(sum);
}

static void reference_row(const struct problem *pr, int64_t n, int64_t h, int64_t i,
                          struct expected *e)
{
    const struct attention *a = &pr->a;
    int64_t row = (n * a->heads + h) * a->nq + i, at = h * a->head_dim;
    int64_t qi = n * a->q_batch + i * a->q_stride + at, oi = n * a->o_batch + i * a->o_stride + at;
    double *p = e->p + row * a->nk, delta = 0;

    e->lse[row] = softmax_row(pr, n, h, i, p);
    for (int64_t j = 0; j < a->nk; j++)
        for (int64_t c = 0; c < a->head_dim; c++)
            e->o[oi + c] +=
                p[j] * (double)pr->v[n * a->v_batch + j * a->v_stride + kv_head(a, h) + c];
    for (int64_t c = 0; c < a->head_dim; c++)
        delta += (double)pr->dout[oi + c] * e->o[oi + c];
    for (int64_t j = 0; j < a->nk; j++) {
        int64_t kj = n * a->k_batch + j * a->k_stride + kv_head(a, h);
        int64_t vj = n * a->v_batch + j * a->v_stride + kv_head(a, h);
        double dp = 0, ds;

        for (int64_t c = 0; c < a->head_dim; c++)
            dp += (double)pr->dout[oi + c] * (double)pr->v[vj + c];
        ds = p[j] * (dp - delta);
        e->dbias[(h * a->nq + i) * a->nk + j] += ds;
        for (int64_t c = 0; c < a->head_dim; c++) {
            e->dq[qi + c] += (double)a->scale * ds * (double)pr->k[kj + c];
            e->dk[kj + c] += (double)a->scale * ds * (double)pr->q[qi + c];
            e->dv[vj + c] += p[j] * (double)pr->dout[oi + c];
        }
    }
}

static double *doubles(struct problem *p, int64_t n, double fill)
{
    double *values = kernel_host(&p->run, (size_t)n * sizeof(double));

    for (int64_t i = 0; i < n; i++)
        values[i] = fill;
    return values;
}

static struct expected reference(struct problem *p, double start)
{
    struct expected e = {.o = doubles(p, p->o_size, 0),
                         .lse = doubles(p, p->lse_size, 0),
                         .p = doubles(p, p->p_size, 0),
                         .dq = doubles(p, p->q_size, start),
                         .dk = doubles(p, p->k_size, start),
                         .dv = doubles(p, p->v_size, start),
                         .dbias = doubles(p, p->bias_size, start)};

    for (int64_t n = 0; n < p->a.batch; n++)
        for (int64_t h = 0; h < p->a.heads; h++)
            for (int64_t i = 0; i < p->a.nq; i++)
                reference_row(p, n, h, i, &e);
    return e;
}

/* Puts q, k and v as the problem lays them out: one buffer or three. */
static void put_inputs(struct problem *p, bool packed, float *to[3])
{
    int64_t width = p->a.heads * p->a.head_dim;

    to[0] = kernel_put_floats(&p->run, p->q, p->q_size);
    to[1] = packed ? to[0] + width : kernel_put_floats(&p->run, p->k, p->k_size);
    to[2] = packed ? to[0] + 2 * width : kernel_put_floats(&p->run, p->v, p->v_size);
}

static float *constant(struct problem *p, int64_t n, float fill)
{
    float *values = kernel_host(&p->run, (size_t)n * sizeof(float));

    for (int64_t i = 0; i < n; i++)
        values[i] = fill;
    return kernel_put_floats(&p->run, values, n);
}

static void check_forward(struct problem *p, const struct expected *e, float *in[3], float **o,
                          float **lse)
{
    struct backend *b = p->run.b;
    float *o2 = kernel_room(&p->run, p->o_size), *probabilities = kernel_room(&p->run, p->p_size);
    float *o3 = kernel_room(&p->run, p->o_size), *lse3 = kernel_room(&p->run, p->lse_size);

    *o = kernel_room(&p->run, p->o_size);
    *lse = kernel_room(&p->run, p->lse_size);
    b->attention_fwd(b, &p->d, in[0], in[1], in[2], *o, *lse, NULL);
    b->attention_fwd(b, &p->d, in[0], in[1], in[2], o2, NULL, probabilities);
    b->attention_fwd(b, &p->d, in[0], in[1], in[2], o3, lse3, NULL);
    kernel_check(&p->run, "o", kernel_get(&p->run, *o), e->o, p->o_size, 6e-6);
    kernel_check(&p->run, "lse", kernel_get(&p->run, *lse), e->lse, p->lse_size, 6e-6);
    kernel_check(&p->run, "probabilities", kernel_get(&p->run, probabilities), e->p, p->p_size,
                 3e-6);
    kernel_check(&p->run, "o with probabilities", kernel_get(&p->run, o2), e->o, p->o_size, 6e-6);
    kernel_check_same(&p->run, "o", *o, o3);
    kernel_check_same(&p->run, "lse", *lse, lse3);
}

/* In a packed buffer dq, dk and dv share one block, so the expected values are merged. */
static void check_gradients(struct problem *p, const struct expected *e, bool packed, float *to[3])
{
    int64_t width = p->a.heads * p->a.head_dim;
    const double tolerance = GRADIENT_TOLERANCE;

    if (!packed) {
        kernel_check(&p->run, "dq", kernel_get(&p->run, to[0]), e->dq, p->q_size, tolerance);
        kernel_check(&p->run, "dk", kernel_get(&p->run, to[1]), e->dk, p->k_size, tolerance);
        kernel_check(&p->run, "dv", kernel_get(&p->run, to[2]), e->dv, p->v_size, tolerance);
        return;
    }
    for (int64_t i = 0; i < p->q_size; i++) {
        int64_t part = i % (3 * width) / width;

        if (part == 1)
            e->dq[i] = e->dk[i - width];
        else if (part == 2)
            e->dq[i] = e->dv[i - 2 * width];
    }
    kernel_check(&p->run, "dqkv", kernel_get(&p->run, to[0]), e->dq, p->q_size, tolerance);
}

static void put_gradients(struct problem *p, bool packed, float start, float *to[3])
{
    int64_t width = p->a.heads * p->a.head_dim;

    to[0] = constant(p, p->q_size, start);
    to[1] = packed ? to[0] + width : constant(p, p->k_size, start);
    to[2] = packed ? to[0] + 2 * width : constant(p, p->v_size, start);
}

/* Gradients that are written are those that are added to zeros; between heads' rows, where there
 * are gaps, nothing is. */
static void check_written(struct problem *p, bool packed, float *const in[3], const float *o,
                          const float *lse, const float *dout)
{
    const int64_t size[3] = {p->q_size, p->k_size, p->v_size};
    struct backend *b = p->run.b;
    float *added[3], *written[3];

    put_gradients(p, packed, 0, added);
    put_gradients(p, packed, 7, written);
    b->attention_bwd(b, &p->d, in[0], in[1], in[2], o, lse, dout, added[0], true, added[1],
                     added[2], true, NULL);
    b->attention_bwd(b, &p->d, in[0], in[1], in[2], o, lse, dout, written[0], false, written[1],
                     written[2], false, NULL);
    for (int i = 0; i < (packed ? 1 : 3); i++) {
        const float *x = kernel_get(&p->run, added[i]), *y = kernel_get(&p->run, written[i]);
        int64_t gaps = 0;

        for (int64_t j = 0; j < size[i]; j++) {
            bool gap = x[j] == 0 && y[j] == 7;

            gaps += gap;
            assert_true(gap || x[j] == y[j]);
        }
        assert_true(!packed || gaps == 0);
    }
}

static void run_shape(const struct shape *s, struct backend *b)
{
    const float start = 0.25f;
    bool packed = s->flags & PACKED;
    struct problem p;
    struct expected e;
    float *in[3], *o, *lse, *dout, *all[3], *one[3], *dbias, *dbias_one;

    make_problem(&p, s, b);
    e = reference(&p, (double)start);
    put_inputs(&p, packed, in);
    check_forward(&p, &e, in, &o, &lse);

    dout = kernel_put_floats(&p.run, p.dout, p.o_size);
    put_gradients(&p, packed, start, all);
    put_gradients(&p, packed, start, one);
    dbias = constant(&p, p.bias_size, start);
    dbias_one = constant(&p, p.bias_size, start);
    b->attention_bwd(b, &p.d, in[0], in[1], in[2], o, lse, dout, all[0], true, all[1], all[2], true,
                     dbias);
    b->attention_bwd(b, &p.d, in[0], in[1], in[2], o, lse, dout, one[0], true, NULL, NULL, true,
                     NULL);
    b->attention_bwd(b, &p.d, in[0], in[1], in[2], o, lse, dout, NULL, true, one[1], NULL, true,
                     NULL);
    b->attention_bwd(b, &p.d, in[0], in[1], in[2], o, lse, dout, NULL, true, NULL, one[2], true,
                     NULL);
    b->attention_bwd(b, &p.d, in[0], in[1], in[2], o, lse, dout, NULL, true, NULL, NULL, true,
                     dbias_one);
    kernel_check(&p.run, "dbias", kernel_get(&p.run, dbias), e.dbias, p.bias_size,
                 GRADIENT_TOLERANCE);
    kernel_check_same(&p.run, "dbias", dbias, dbias_one);
    for (int i = 0; i < (packed ? 1 : 3); i++)
        kernel_check_same(&p.run, "dq, dk, dv", all[i], one[i]);
    check_gradients(&p, &e, packed, all);
    if (p.d.nq > 0 && p.d.nk > 0)
        check_written(&p, packed, in, o, lse, dout);
    kernel_run_end(&p.run);
}

static void attention_matches(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            run_shape(&shapes[s], kernel_backends[i]);
}

/* Large scores must not overflow, and a hidden key's NaN must not leak. */
static void attention_is_robust(void **state)
{
    (void)state;
    for (int i = 0; kernel_backends[i]; i++) {
        struct backend *b = kernel_backends[i];

        for (int64_t nq = 1; nq < 20; nq += 18) {
            struct kernel_run run = {.b = b};
            struct attention a = {.batch = 1,
                                  .heads = 1,
                                  .nq = nq,
                                  .nk = 20,
                                  .head_dim = 16,
                                  .q_stride = 16,
                                  .k_stride = 16,
                                  .v_stride = 16,
                                  .o_stride = 16,
                                  .scale = 100};
            float *q = kernel_random(&run, nq * 16, 3), *k = kernel_random(&run, 20 * 16, 3);
            float *v = kernel_random(&run, 20 * 16, 1), *o, *dev_o, *dev_lse;
            uint8_t mask[20];

            for (int j = 0; j < 20; j++)
                mask[j] = j % 4 != 1;
            for (int j = 0; j < 20 * 16; j++)
                if (!mask[j / 16])
                    k[j] = v[j] = NAN;
            a.key_mask = kernel_put(&run, mask, sizeof mask);
            dev_o = kernel_room(&run, nq * 16);
            dev_lse = kernel_room(&run, nq);
            b->attention_fwd(b, &a, kernel_put_floats(&run, q, nq * 16),
                             kernel_put_floats(&run, k, 20 * 16),
                             kernel_put_floats(&run, v, 20 * 16), dev_o, dev_lse, NULL);
            o = kernel_get(&run, dev_o);
            for (int64_t j = 0; j < nq * 16; j++)
                assert_true(isfinite(o[j]) && fabsf(o[j]) < 6);
            o = kernel_get(&run, dev_lse);
            for (int64_t j = 0; j < nq; j++)
                assert_true(isfinite(o[j]));
            kernel_run_end(&run);
        }
    }
}

static void bias_gather_matches(void **state)
{
    const int64_t sizes[] = {0, 1, 17, 300, 30000}, heads_list[] = {1, 3, 5}, table_rows = 37;

    (void)state;
    for (int i = 0; kernel_backends[i]; i++)
        for (size_t s = 0; s < 5; s++)
            for (size_t m = 0; m < 3; m++) {
                struct kernel_run run = {.b = kernel_backends[i]};
                int64_t n = sizes[s], heads = heads_list[m];
                float *table = kernel_random(&run, table_rows * heads, 1);
                float *dbias = kernel_random(&run, n * heads, 0.1f);
                int32_t *index = kernel_host(&run, (size_t)n * sizeof *index);
                double *want = kernel_host(&run, (size_t)(n * heads) * sizeof *want);
                double *sums = kernel_host(&run, (size_t)(table_rows * heads) * sizeof *sums);
                float *bias = kernel_room(&run, n * heads);
                float *dtable = kernel_put_floats(&run, table, table_rows * heads);
                float *device_table = kernel_put_floats(&run, table, table_rows * heads);
                void *device_index;

                for (int64_t j = 0; j < table_rows * heads; j++)
                    sums[j] = table[j];
                for (int64_t j = 0; j < n; j++) {
                    index[j] = (int32_t)(j * 13 % table_rows);
                    for (int64_t h = 0; h < heads; h++) {
                        want[h * n + j] = table[index[j] * heads + h];
                        sums[index[j] * heads + h] += dbias[h * n + j];
                    }
                }
                device_index = kernel_put(&run, index, (size_t)n * sizeof *index);
                run.b->bias_gather_fwd(run.b, heads, n, device_index, device_table, bias);
                run.b->bias_gather_bwd(run.b, heads, n, device_index,
                                       kernel_put_floats(&run, dbias, n * heads), dtable);
                kernel_check(&run, "bias", kernel_get(&run, bias), want, n * heads, 0);
                kernel_check(&run, "dtable", kernel_get(&run, dtable), sums, table_rows * heads,
                             1e-5);
                run.b->bias_gather_bwd(run.b, heads, n, device_index, bias, NULL);
                kernel_run_end(&run);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_matches),
        cmocka_unit_test(attention_is_robust),
        cmocka_unit_test(bias_gather_matches),
    };

    return cmocka_run_group_tests(tests, kernel_backends_open, kernel_backends_close);
}
