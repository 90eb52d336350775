/*
 * move.c: gathering, copying, transposing and unfolding; no arithmetic beyond sums.
 *
 * Where several sources add into one place, the place has one owner who takes them in order, so the
 * bits do not depend on the threads.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/vec.h"

#include <omp.h>
#include <string.h>

/* Columns per task where a sum over rows is divided by columns. */
#define COLUMNS 64
#define TILE 16
/* Rows between the one that is copied and the one that is asked for. */
#define GATHER_AHEAD 8

static void gather_rows_fwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                            int64_t x_rows, const void *x, void *y)
{
    const float *xf = x;
    float *yf = y;
    int team = cpu_team(b, (double)rows * (double)c);

    (void)x_rows;
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t i = 0; i < rows; i++) {
        if (i + GATHER_AHEAD < rows && index[i + GATHER_AHEAD] >= 0) {
            v_ask(xf + index[i + GATHER_AHEAD] * c, c);
            v_ask(yf + (i + GATHER_AHEAD) * c, c);
        }
        if (index[i] < 0)
            memset(yf + i * c, 0, (size_t)c * sizeof(float));
        else
            memcpy(yf + i * c, xf + index[i] * c, (size_t)c * sizeof(float));
    }
}

static void gather_rows_bwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                            int64_t x_rows, const void *dy, void *dx)
{
    const float *dyf = dy;
    float *dxf = dx;
    int team = cpu_team(b, (double)rows * (double)c);

    if (!dx)
        return;
#pragma omp parallel num_threads(team) if (team > 1)
    {
        int64_t t = omp_get_thread_num(), n = omp_get_num_threads();
        int64_t first = x_rows * t / n, end = x_rows * (t + 1) / n;

        for (int64_t i = 0; i < rows; i++) {
            float *to;

            if (index[i] < first || index[i] >= end)
                continue;
            to = dxf + index[i] * c;
            for (int64_t j = 0; j < c; j++)
                to[j] += dyf[i * c + j];
        }
    }
}

static void embed_fwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                      int64_t table_rows, const float *table, void *y)
{
    gather_rows_fwd(b, rows, c, index, table_rows, table, y);
}

static void embed_bwd(struct backend *b, int64_t rows, int64_t c, const int32_t *index,
                      int64_t table_rows, const void *dy, float *dtable)
{
    gather_rows_bwd(b, rows, c, index, table_rows, dy, dtable);
}

static void bias_gather_fwd(struct backend *b, int64_t heads, int64_t n, const int32_t *index,
                            const float *table, float *bias)
{
    int team = cpu_team(b, (double)heads * (double)n);

#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t i = 0; i < n; i++)
        for (int64_t h = 0; h < heads; h++)
            bias[h * n + i] = table[index[i] * heads + h];
}

static void bias_gather_bwd(struct backend *b, int64_t heads, int64_t n, const int32_t *index,
                            const float *dbias, float *dtable)
{
    int team = cpu_team(b, (double)heads * (double)n);

    if (!dtable)
        return;
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t h = 0; h < heads; h++)
        for (int64_t i = 0; i < n; i++)
            dtable[index[i] * heads + h] += dbias[h * n + i];
}

static void copy_run(int64_t n, const float *from, float *to, bool accumulate)
{
    if (!accumulate) {
        memcpy(to, from, (size_t)n * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < n; i++)
        to[i] += from[i];
}

/* to[0, n) += the sum of the blocks, taken in order. */
static void sum_runs(const struct strided *s, const float *from, int64_t n, float *to)
{
    float sum[COLUMNS] = {0};

    memcpy(sum, to, (size_t)n * sizeof(float));
    if (n == COLUMNS) /* a known length: the sums stay in registers */
        for (int64_t i = 0; i < s->blocks; i++)
            for (int64_t j = 0; j < COLUMNS; j++)
                sum[j] += from[i * s->from_stride + j];
    else
        for (int64_t i = 0; i < s->blocks; i++)
            for (int64_t j = 0; j < n; j++)
                sum[j] += from[i * s->from_stride + j];
    memcpy(to, sum, (size_t)n * sizeof(float));
}

static void copy_strided(struct backend *b, const struct strided *s, const void *from, void *to,
                         bool accumulate)
{
    const float *f = from;
    float *t = to;
    int team = cpu_team(b, (double)s->blocks * (double)s->length);
    int64_t apart = s->to_stride < 0 ? -s->to_stride : s->to_stride;
    int64_t pieces = (s->length + COLUMNS - 1) / COLUMNS;

    if (s->length <= 0 || s->blocks <= 0)
        return;
    if (s->to_stride == 0) {
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
        for (int64_t p = 0; p < pieces; p++) {
            int64_t at = p * COLUMNS, n = s->length - at < COLUMNS ? s->length - at : COLUMNS;

            if (accumulate)
                sum_runs(s, f + at, n, t + at);
            else
                copy_run(n, f + (s->blocks - 1) * s->from_stride + at, t + at, false);
        }
        return;
    }
    if (apart < s->length) /* runs overlap where they land: one after the other */
        team = 1;
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t i = 0; i < s->blocks; i++)
        copy_run(s->length, f + i * s->from_stride, t + i * s->to_stride, accumulate);
}

static void broadcast_fwd(struct backend *b, int64_t times, int64_t n, const float *table, void *y)
{
    const struct strided s = {times, n, 0, n};

    copy_strided(b, &s, table, y, false);
}

static void broadcast_bwd(struct backend *b, int64_t times, int64_t n, const void *dy,
                          float *dtable)
{
    const struct strided s = {times, n, n, 0};

    if (dtable)
        copy_strided(b, &s, dy, dtable, true);
}

static void transpose_tile(int64_t rows, int64_t cols, const float *x, int64_t x_stride, float *y,
                           int64_t y_stride, bool accumulate)
{
    for (int64_t c = 0; c < cols; c++)
        for (int64_t r = 0; r < rows; r++) {
            float value = x[r * x_stride + c];

            y[c * y_stride + r] = accumulate ? y[c * y_stride + r] + value : value;
        }
}

static void transpose(struct backend *b, int64_t batch, int64_t rows, int64_t cols, const void *x,
                      void *y, bool accumulate)
{
    const float *xf = x;
    float *yf = y;
    int64_t down = (rows + TILE - 1) / TILE, across = (cols + TILE - 1) / TILE;
    int team = cpu_team(b, (double)batch * (double)rows * (double)cols);

#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t t = 0; t < batch * down; t++) {
        int64_t n = t / down, r = t % down * TILE, height = rows - r < TILE ? rows - r : TILE;

        for (int64_t i = 0; i < across; i++) {
            int64_t c = i * TILE, width = cols - c < TILE ? cols - c : TILE;

            transpose_tile(height, width, xf + (n * rows + r) * cols + c, cols,
                           yf + (n * cols + c) * rows + r, rows, accumulate);
        }
    }
}

static int64_t clip_length(int64_t wanted, int64_t left)
{
    if (left <= 0)
        return 0;
    return left < wanted ? left : wanted;
}

/* One patch, one channel: kt * kh runs of kw elements, 0 past the end of an axis. */
static void unfold_patch(const struct unfold *u, int64_t t0, int64_t h0, int64_t w0,
                         const float *plane, float *y)
{
    int64_t inside = clip_length(u->kw, u->w - w0);

    for (int64_t a = 0; a < u->kt; a++)
        for (int64_t p = 0; p < u->kh; p++, y += u->kw) {
            bool there = t0 + a < u->t && h0 + p < u->h;
            const float *x = plane + ((t0 + a) * u->h + h0 + p) * u->w + w0;

            if (there && inside == 4 && u->kw == 4) /* Swin's patches: one short copy */
                memcpy(y, x, 4 * sizeof *y);
            else
                for (int64_t q = 0; q < u->kw; q++)
                    y[q] = there && q < inside ? x[q] : 0;
        }
}

static void fold_patch(const struct unfold *u, int64_t t0, int64_t h0, int64_t w0, const float *dy,
                       float *plane)
{
    int64_t inside = clip_length(u->kw, u->w - w0);

    for (int64_t a = 0; a < u->kt; a++)
        for (int64_t p = 0; p < u->kh; p++, dy += u->kw) {
            float *x = plane + ((t0 + a) * u->h + h0 + p) * u->w + w0;

            if (t0 + a >= u->t || h0 + p >= u->h)
                continue;
            for (int64_t q = 0; q < inside; q++)
                x[q] += dy[q];
        }
}

static void unfold_fwd(struct backend *b, const struct unfold *u, const void *x, void *y)
{
    int64_t patch = u->kt * u->kh * u->kw, plane = u->t * u->h * u->w;
    int64_t lines = u->batch * u->ot * u->oh;
    int team = cpu_team(b, (double)(lines * u->ow) * (double)(u->channels * patch));
    const float *xf = x;
    float *yf = y;

#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t l = 0; l < lines; l++) {
        int64_t j = l % u->oh, i = l / u->oh % u->ot, n = l / u->oh / u->ot;

        for (int64_t k = 0; k < u->ow; k++)
            for (int64_t c = 0; c < u->channels; c++)
                unfold_patch(u, i * u->st, j * u->sh, k * u->sw, xf + (n * u->channels + c) * plane,
                             yf + ((l * u->ow + k) * u->channels + c) * patch);
    }
}

static void unfold_bwd(struct backend *b, const struct unfold *u, const void *dy, void *dx)
{
    int64_t patch = u->kt * u->kh * u->kw, plane = u->t * u->h * u->w;
    int64_t places = u->ot * u->oh * u->ow, planes = u->batch * u->channels;
    int team = cpu_team(b, (double)(planes * places) * (double)patch);
    const float *dyf = dy;
    float *dxf = dx;

    if (!dx)
        return;
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t n = 0; n < planes; n++)
        for (int64_t l = 0; l < places; l++) {
            int64_t k = l % u->ow, j = l / u->ow % u->oh, i = l / u->ow / u->oh;
            int64_t row = n / u->channels * places + l;

            fold_patch(u, i * u->st, j * u->sh, k * u->sw,
                       dyf + (row * u->channels + n % u->channels) * patch, dxf + n * plane);
        }
}

static void mean_rows_fwd(struct backend *b, int64_t batch, int64_t n, int64_t c, const void *x,
                          void *y)
{
    int64_t pieces = (c + COLUMNS - 1) / COLUMNS;
    int team = cpu_team(b, (double)batch * (double)n * (double)c);
    const float *xf = x;
    float *yf = y;

#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t t = 0; t < batch * pieces; t++) {
        int64_t g = t / pieces, from = t % pieces * COLUMNS;
        int64_t width = c - from < COLUMNS ? c - from : COLUMNS;
        float sum[COLUMNS] = {0};

        for (int64_t r = 0; r < n; r++)
            for (int64_t i = 0; i < width; i++)
                sum[i] += xf[(g * n + r) * c + from + i];
        for (int64_t i = 0; i < width; i++)
            yf[g * c + from + i] = n > 0 ? sum[i] / (float)n : 0;
    }
}

static void mean_rows_bwd(struct backend *b, int64_t batch, int64_t n, int64_t c, const void *dy,
                          void *dx)
{
    int team = cpu_team(b, (double)batch * (double)n * (double)c);
    const float *dyf = dy;
    float *dxf = dx, part = n > 0 ? 1 / (float)n : 0;

    if (!dx)
        return;
#pragma omp parallel for num_threads(team) if (team > 1) schedule(static)
    for (int64_t r = 0; r < batch * n; r++)
        for (int64_t i = 0; i < c; i++)
            dxf[r * c + i] += part * dyf[r / n * c + i];
}

void SIMD(install_move)(struct backend *b)
{
    b->gather_rows_fwd = gather_rows_fwd;
    b->gather_rows_bwd = gather_rows_bwd;
    b->embed_fwd = embed_fwd;
    b->embed_bwd = embed_bwd;
    b->bias_gather_fwd = bias_gather_fwd;
    b->bias_gather_bwd = bias_gather_bwd;
    b->copy_strided = copy_strided;
    b->broadcast_fwd = broadcast_fwd;
    b->broadcast_bwd = broadcast_bwd;
    b->transpose = transpose;
    b->unfold_fwd = unfold_fwd;
    b->unfold_bwd = unfold_bwd;
    b->mean_rows_fwd = mean_rows_fwd;
    b->mean_rows_bwd = mean_rows_bwd;
}
