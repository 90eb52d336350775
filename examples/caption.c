/*
 * caption.c: captions a file with libearshot.
 *
 *     cc caption.c $(pkg-config --cflags --libs earshot) -o caption
 *     ./caption MODEL FILE [WINDOW_S]
 *
 * Prints one caption, or one for every WINDOW_S seconds, each with what it was made from; then the
 * same clip's worth of silence and grey, to show how frames and samples of one's own are captioned.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <earshot.h>

/* Called now and then; returning false would stop. */
static bool show_progress(void *context, const struct earshot_progress *progress)
{
    (void)context;
    if (progress->total_s > 0)
        fprintf(stderr, "\r%5.1f of %.1f s", progress->done_s, progress->total_s);
    return true;
}

static const char *stream_words(unsigned streams)
{
    static const char *const words[] = {"nothing", "seen", "heard", "seen and heard"};

    return words[streams & (EARSHOT_VIDEO | EARSHOT_AUDIO)];
}

static void print_result(const struct earshot_result *result)
{
    for (int i = 0; i < result->caption_count; i++) {
        const struct earshot_caption *caption = result->caption[i];

        printf("%.1f-%.1f s, %s: %s (log p %.2f)\n", caption->start_s, caption->end_s,
               stream_words(caption->streams), caption->text, caption->log_probability);
    }
}

/* Two grey frames and a second of silence. */
static enum earshot_status caption_own_data(struct earshot_session *session,
                                            struct earshot_error *error)
{
    static uint8_t grey[2][32][32][3];
    static float silence[16000];
    const struct earshot_clip clip = {.rgb = &grey[0][0][0][0],
                                      .frame_count = 2,
                                      .width = 32,
                                      .height = 32,
                                      .samples = silence,
                                      .sample_count = 16000};
    struct earshot_result *result;
    enum earshot_status status;

    memset(grey, 128, sizeof grey);
    status = earshot_caption_clip(session, &clip, &result, error);
    if (status == EARSHOT_OK) {
        print_result(result);
        earshot_result_free(result);
    }
    return status;
}

int main(int argc, char **argv)
{
    struct earshot_session_options options;
    struct earshot_model *model = NULL;
    struct earshot_session *session = NULL;
    struct earshot_result *result = NULL;
    struct earshot_error error;
    bool failed = true;

    if (argc < 3) {
        fprintf(stderr, "usage: caption MODEL FILE [WINDOW_S]\n");
        return 2;
    }
    earshot_session_options_init(&options, sizeof options);
    options.window_s = argc > 3 ? strtod(argv[3], NULL) : 0;
    options.progress = show_progress;
    if (earshot_model_open(argv[1], &model, &error) == EARSHOT_OK &&
        earshot_session_open(model, &options, &session, &error) == EARSHOT_OK &&
        earshot_caption_file(session, argv[2], &result, &error) == EARSHOT_OK) {
        fprintf(stderr, "\n");
        print_result(result);
        failed = caption_own_data(session, &error) != EARSHOT_OK;
    }
    if (failed)
        fprintf(stderr, "%s: %s\n", earshot_status_name(error.status), error.message);
    earshot_result_free(result);
    earshot_session_close(session);
    earshot_model_close(model);
    return failed;
}
