/*
 * pointwise.c: GELU, sums of tensors, added tables, dropout.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/vec_math.h"

#include "base/random.h"

#include <math.h>

/* Elements per task of the pointwise kernels. */
#define RUN 4096

static void gelu_fwd(struct backend *b, int64_t n, const void *x, void *y)
{
    const float *xf = x;
    float *yf = y;
    int team = cpu_team(b, 4.0 * (double)n);

#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t i = 0; i < n; i += RUN)
        v_gelu_run(n - i < RUN ? n - i : RUN, xf + i, yf + i);
}

/* dx = dy times the slope, added to what is there with add; y, unless NULL, gets GELU(x). */
INLINE void gelu_slope_run(int64_t n, const float *x, const float *dy, float *dx, const bool add,
                           float *y)
{
    for (int64_t i = 0; i < n; i += VW) {
        int64_t left = n - i;
        vec value = v_load_first(x + i, left), phi = v_phi(value);
        vec start = add ? v_load_first(dx + i, left) : v_set(0);

        v_store_first(dx + i, left,
                      v_fma(v_load_first(dy + i, left), v_gelu_slope(value, phi), start));
        if (y)
            v_store_first(y + i, left, v_gelu_of(value, phi));
    }
}

static void gelu_bwd(struct backend *b, int64_t n, const void *x, const void *dy, void *dx,
                     bool add, void *y)
{
    const float *xf = x, *dyf = dy;
    float *dxf = dx, *yf = y;
    int team = cpu_team(b, 4.0 * (double)n);

    if (!dx)
        return;
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t i = 0; i < n; i += RUN) {
        int64_t count = n - i < RUN ? n - i : RUN;

        if (add)
            gelu_slope_run(count, xf + i, dyf + i, dxf + i, true, yf ? yf + i : NULL);
        else
            gelu_slope_run(count, xf + i, dyf + i, dxf + i, false, yf ? yf + i : NULL);
    }
}

static void axpby(struct backend *b, int64_t n, float alpha, const void *x, float beta,
                  const void *z, void *y)
{
    const float *xf = x, *zf = z;
    float *yf = y;
    int team = cpu_team(b, (double)n);

    if (!z) {
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
        for (int64_t i = 0; i < n; i++)
            yf[i] = alpha * xf[i];
        return;
    }
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t i = 0; i < n; i++)
        yf[i] = alpha * xf[i] + beta * zf[i];
}

static void add_rows_fwd(struct backend *b, int64_t rows, int64_t c, int64_t period, int64_t repeat,
                         const void *x, const float *table, void *y)
{
    const float *xf = x;
    float *yf = y;
    int team = cpu_team(b, (double)rows * (double)c);

#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *add = table + r / repeat % period * c;

        for (int64_t i = 0; i < c; i++)
            yf[r * c + i] = xf[r * c + i] + add[i];
    }
}

/* A task is some columns of one row of the table, so that each sum has one owner and one order. */
static void add_rows_bwd(struct backend *b, int64_t rows, int64_t c, int64_t period, int64_t repeat,
                         const void *dy, float *dtable)
{
    const int64_t width = 64;
    int64_t blocks = (c + width - 1) / width;
    int team = cpu_team(b, (double)rows * (double)c);
    const float *dyf = dy;

    if (!dtable)
        return;
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t t = 0; t < period * blocks; t++) {
        int64_t p = t / blocks, from = t % blocks * width;
        int64_t to = from + width < c ? from + width : c;

        for (int64_t start = p * repeat; start < rows; start += period * repeat)
            for (int64_t r = start; r < start + repeat && r < rows; r++)
                for (int64_t i = from; i < to; i++)
                    dtable[p * c + i] += dyf[r * c + i];
    }
}

/* Draws in one row of random_word's blocks. */
#define DRAWS 32

/*
 * keep[8 w + l] = bits where random_word(seed, stream, DRAWS * row + 8 w + l) >= threshold, else 0,
 * for VW / 2 of the blocks: l = first .. first + VW / 2 - 1.  The rounds of random.c side by side;
 * what stands above bit 31 of a lane is rubbish until the end.
 */
INLINE void draw(uint64_t seed, uint64_t stream, uint64_t row, int first, int64_t threshold,
                 int32_t bits, float *keep)
{
    typedef int64_t wide __attribute__((vector_size(sizeof(words))));
    typedef int32_t narrow __attribute__((vector_size(sizeof(words) / 2)));
    const words zero = {0};
    words index = zero, a, b, c[4];
    uint64_t key0 = seed & 0xFFFFFFFFu, key1 = seed >> 32;

    for (int i = 0; i < VW / 2; i++)
        index[i] = 8 * row + (uint64_t)(first + i);
    c[0] = index;
    c[1] = index >> 32;
    c[2] = zero + stream;
    c[3] = zero + (stream >> 32);
    UNROLL for (int round = 0; round < 10; round++)
    {
        a = w_multiply_low(c[0], zero + 0xD2511F53u);
        b = w_multiply_low(c[2], zero + 0xCD9E8D57u);
        c[0] = (b >> 32) ^ c[1] ^ key0;
        c[2] = (a >> 32) ^ c[3] ^ key1;
        c[1] = b;
        c[3] = a;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    UNROLL for (int w = 0; w < 4; w++)
    {
        wide kept = (wide)(c[w] & 0xFFFFFFFFu) >= threshold;
        narrow some = __builtin_convertvector(kept, narrow) & bits;

        memcpy(keep + 8 * w + first, &some, sizeof some);
    }
}

/* Elements from .. to - 1, each a group of its own; from is a multiple of DRAWS. */
static void dropout_run(int64_t from, int64_t to, float p, uint64_t seed, uint64_t stream,
                        const float *x, float *y, bool accumulate)
{
    const int64_t threshold = (int64_t)ceil((double)p * 0x1p32);
    const float scale = 1 / (1 - p);
    int32_t bits;
    float keep[DRAWS];

    memcpy(&bits, &scale, sizeof bits);
    for (int64_t i = from; i < to; i += DRAWS) {
        int64_t end = to - i < DRAWS ? to - i : DRAWS;

        for (int l = 0; l < 8; l += VW / 2)
            draw(seed, stream, (uint64_t)(i / DRAWS), l, threshold, bits, keep);
        for (int64_t j = 0; j < end; j += VW) {
            vec kept = v_load(keep + j), value = v_load_first(x + i + j, end - j) * kept;

            value = v_where_less(v_set(0), kept, value, v_set(0));
            if (accumulate)
                value = value + v_load_first(y + i + j, end - j);
            v_store_first(y + i + j, end - j, value);
        }
    }
}

static void dropout(struct backend *b, int64_t n, int64_t group, float p, uint64_t seed,
                    uint64_t stream, const void *x, void *y, bool accumulate)
{
    const float *xf = x;
    float *yf = y;
    float scale = 1 / (1 - p);
    int64_t groups = group > 0 ? (n + group - 1) / group : 0;
    int team = cpu_team(b, 16.0 * (double)groups + (double)n);

    if (group == 1) {
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
        for (int64_t i = 0; i < n; i += RUN)
            dropout_run(i, n - i < RUN ? n : i + RUN, p, seed, stream, xf, yf, accumulate);
        return;
    }
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t g = 0; g < groups; g++) {
        bool kept = random_word(seed, stream, (uint64_t)g) >= (double)p * 0x1p32;
        int64_t from = g * group, to = from + group < n ? from + group : n;

        for (int64_t i = from; i < to; i++) {
            float value = kept ? xf[i] * scale : 0;

            yf[i] = accumulate ? yf[i] + value : value;
        }
    }
}

void SIMD(install_pointwise)(struct backend *b)
{
    b->gelu_fwd = gelu_fwd;
    b->gelu_bwd = gelu_bwd;
    b->axpby = axpby;
    b->add_rows_fwd = add_rows_fwd;
    b->add_rows_bwd = add_rows_bwd;
    b->dropout = dropout;
}
