/* optimizer.c: AdamW (Loshchilov & Hutter, ICLR 2019).  See optimizer.h. */
#include "engine/optimizer.h"

#include <math.h>

bool optimizer_step(struct params *params, const struct optimizer_options *options,
                    double learning_rate, int64_t step, double *norm)
{
    struct backend *backend = params_backend(params);
    struct adamw adamw = {
        .beta1 = (float)options->beta1,
        .beta2 = (float)options->beta2,
        .epsilon = (float)options->epsilon,
        .gradient_scale = 1,
    };

    /* From the betas as the kernel has them: 1 - 0.999f is 5e-5 off 1 - 0.999, which the moments
     * and their correction must share. */
    adamw.bias1 = (float)(1 - pow((double)adamw.beta1, (double)step));
    adamw.bias2 = (float)(1 - pow((double)adamw.beta2, (double)step));
    *norm = params_gradient_norm(params);
    if (!isfinite(*norm))
        return false;
    if (options->clip_norm > 0 && *norm > options->clip_norm)
        adamw.gradient_scale = (float)(options->clip_norm / (*norm + 1e-6));
    for (int i = 0; i < params_count(params); i++) {
        struct param *param = params_at(params, i);

        if (!param->gradient)
            continue;
        adamw.learning_rate = (float)(learning_rate * param->learning_rate_scale);
        adamw.weight_decay = param->decay ? (float)options->weight_decay : 0;
        backend->adamw_step(backend, &adamw, param->elements, param->value, param->gradient,
                            param->moment1, param->moment2);
    }
    return true;
}
