/*
 * odd_files.c: makes the corpus: small good files from media/writer.h and fixtures/media, then cut,
 * overwritten, lied about in their headers, or something else under a media name.  See odd_files.h.
 */
#include "support/odd_files.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "media/writer.h"
#include "support/test.h"

/* A file's bytes while they are being tampered with. */
struct bytes {
    unsigned char *data;
    size_t size;
};

struct maker {
    const char *directory;
    struct odd_files files;
    int capacity;
};

static struct odd_file *add(struct maker *maker, const char *name)
{
    struct odd_file *file;

    if (maker->files.count == maker->capacity) {
        maker->capacity = 2 * maker->capacity + 32;
        maker->files.file =
            realloc(maker->files.file, sizeof *maker->files.file * (size_t)maker->capacity);
        assert_non_null(maker->files.file);
    }
    file = &maker->files.file[maker->files.count++];
    *file = (struct odd_file){.outcome = ODD_EITHER};
    snprintf(file->path, sizeof file->path, "%s/%s", maker->directory, name);
    return file;
}

static void opens(struct odd_file *file, bool has_video, bool has_audio)
{
    file->outcome = ODD_OPENS;
    file->has_video = has_video;
    file->has_audio = has_audio;
}

static void fails(struct odd_file *file, enum earshot_status status)
{
    file->outcome = ODD_FAILS;
    file->status = status;
}

static struct bytes load(const char *path)
{
    FILE *stream = fopen(path, "rb");
    struct bytes bytes = {0};
    struct stat info;

    if (!stream || fstat(fileno(stream), &info) != 0)
        fail_msg("cannot read %s", path);
    bytes.size = (size_t)info.st_size;
    bytes.data = malloc(bytes.size + 1);
    assert_non_null(bytes.data);
    assert_int_equal(fread(bytes.data, 1, bytes.size, stream), bytes.size);
    fclose(stream);
    return bytes;
}

static void save(const char *path, const void *data, size_t size)
{
    FILE *stream = fopen(path, "wb");

    if (!stream || fwrite(data, 1, size, stream) != size || fclose(stream) != 0)
        fail_msg("cannot write %s", path);
}

static struct odd_file *add_bytes(struct maker *maker, const char *name, const void *data,
                                  size_t size)
{
    struct odd_file *file = add(maker, name);

    save(file->path, data, size);
    return file;
}

static struct odd_file *add_text(struct maker *maker, const char *name, const char *text)
{
    return add_bytes(maker, name, text, strlen(text));
}

static struct bytes fixture(const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "media/%s", name);
    return load(test_fixture(path));
}

/* Overwrites `count` bytes that follow the first `marker`. */
static void patch(struct bytes *bytes, const char *marker, size_t offset, const void *with,
                  size_t count)
{
    size_t length = strlen(marker);

    for (size_t i = 0; i + length + offset + count <= bytes->size; i++)
        if (memcmp(bytes->data + i, marker, length) == 0) {
            memcpy(bytes->data + i + length + offset, with, count);
            return;
        }
    fail_msg("no \"%s\" to patch", marker);
}

/* ---- good files to begin with ---- */

static void write_media(const char *path, const struct media_writer_options *options, int frames)
{
    struct earshot_error error;
    struct media_writer *writer;
    size_t size = (size_t)options->width * (size_t)options->height * 3;
    uint8_t *rgb = malloc(size + 1);
    float *samples = NULL;

    assert_non_null(rgb);
    assert_ok(media_writer_open(path, options, &writer, &error));
    for (int i = 0; i < frames && options->video_codec; i++) {
        for (size_t k = 0; k < size; k++)
            rgb[k] = (uint8_t)(k * 7 + (size_t)i * 5);
        assert_ok(media_writer_frame(writer, rgb, &error));
    }
    if (options->audio_codec) {
        int64_t count = (int64_t)options->sample_rate_hz * frames / 25;

        samples = malloc(sizeof *samples * (size_t)(count * options->channels + 1));
        assert_non_null(samples);
        for (int64_t i = 0; i < count * options->channels; i++)
            samples[i] = (float)(0.3 * sin((double)i * 0.05));
        assert_ok(media_writer_audio(writer, samples, count, &error));
    }
    assert_ok(media_writer_finish(writer, &error));
    free(samples);
    free(rgb);
}

static struct odd_file *add_media(struct maker *maker, const char *name, const char *video,
                                  int width, int height, const char *audio, int frames)
{
    struct media_writer_options options = {
        .video_codec = video,
        .width = width,
        .height = height,
        .frame_rate_hz = 25,
        .quality = -1,
        .audio_codec = audio,
        .sample_rate_hz = 16000,
        .channels = 1,
    };
    struct odd_file *file = add(maker, name);

    write_media(file->path, &options, frames);
    opens(file, video != NULL, audio != NULL);
    return file;
}

static void make_small_files(struct maker *maker)
{
    add_media(maker, "good.mp4", "libx264", 64, 48, "aac", 50);
    add_media(maker, "good.mkv", "ffv1", 64, 48, "flac", 50);
    add_media(maker, "good.avi", "mpeg4", 64, 48, "pcm_s16le", 50);
    add_media(maker, "good.webm", "libvpx-vp9", 64, 48, "libopus", 50);
    add_media(maker, "no_sound.mp4", "libx264", 64, 48, NULL, 10);
    add_media(maker, "no_picture.m4a", NULL, 0, 0, "aac", 25);
    add_media(maker, "one_frame.mp4", "libx264", 64, 48, NULL, 1);
    add_media(maker, "one_frame_and_sound.mkv", "ffv1", 64, 48, "flac", 1);
    add_media(maker, "one_pixel.mkv", "ffv1", 1, 1, NULL, 5);
    add_media(maker, "one_pixel.gif", "gif", 1, 1, NULL, 5);
    add_media(maker, "odd_size.mp4", "libx264", 33, 17, NULL, 5);
    add_media(maker, "wide.mkv", "ffv1", 10000, 16, NULL, 2);
    add_media(maker, "tall.mkv", "ffv1", 16, 10000, NULL, 2);
    add_media(maker, "colon: 100%, %03d \xc3\xa9.png", "png", 8, 8, NULL, 1);
    add_media(maker, "wrong_extension.mkv.txt.mp4", "libx264", 64, 48, "aac", 5);
}

/* ---- not media at all ---- */

static void make_impostors(struct maker *maker)
{
    static unsigned char zeros[65536], noise[65536];
    struct odd_file *file;
    char self[700];

    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (unsigned char)random_bits(1, 2, i);
    fails(add_bytes(maker, "empty.mp4", "", 0), EARSHOT_ERROR_FORMAT);
    fails(add_bytes(maker, "one_byte.mp4", "x", 1), EARSHOT_ERROR_FORMAT);
    fails(add_bytes(maker, "zeros.mp4", zeros, sizeof zeros), EARSHOT_ERROR_FORMAT);
    fails(add_text(maker, "text.mp4", "This is a shopping list:\nmilk\nbread\n"),
          EARSHOT_ERROR_FORMAT);
    fails(add_text(maker, "text.txt", "FFmpeg would make a video of this text.\n"),
          EARSHOT_ERROR_FORMAT);
    fails(add_text(maker, "page.webm", "<!DOCTYPE html><html><body>404 Not found</body></html>\n"),
          EARSHOT_ERROR_FORMAT);
    fails(add_text(maker, "object.wav", "{\"error\": \"no such file\"}\n"), EARSHOT_ERROR_FORMAT);
    add_text(maker, "list.mp4",
             "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n"
             "#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n");
    snprintf(self, sizeof self, "ffconcat version 1.0\nfile self.mp4\nfile good.mp4\n");
    add_text(maker, "self.mp4", self);
    add_text(maker, "captions.srt", "1\n00:00:01,000 --> 00:00:02,000\nHello\n");
    add_bytes(maker, "noise.mp4", noise, sizeof noise);
    add_bytes(maker, "noise.mp3", noise, sizeof noise);
    add_bytes(maker, "noise.ts", noise, sizeof noise);
    add_bytes(maker, "noise_with_h264_name.h264", noise, 4096);

    file = add(maker, "directory.mp4");
    assert_true(mkdir(file->path, 0777) == 0);
    fails(file, EARSHOT_ERROR_IO);
    file = add(maker, "missing.mp4");
    fails(file, EARSHOT_ERROR_IO);
    file = add(maker, "loop.mp4");
    assert_true(symlink("loop.mp4", file->path) == 0);
    fails(file, EARSHOT_ERROR_IO);
    file = add(maker, "sparse.mp4");
    save(file->path, "x", 1);
    assert_true(truncate(file->path, (off_t)1 << 30) == 0);
    fails(file, EARSHOT_ERROR_FORMAT);
}

/* ---- cut off, overwritten, flipped ---- */

static void make_cut(struct maker *maker, const char *name, struct bytes bytes, int permille,
                     enum odd_outcome outcome, bool has_video, bool has_audio)
{
    char path[128];
    struct odd_file *file;

    snprintf(path, sizeof path, "cut_%d_%s", permille, name);
    file = add_bytes(maker, path, bytes.data, bytes.size * (size_t)permille / 1000);
    if (outcome == ODD_OPENS)
        opens(file, has_video, has_audio);
    else if (outcome == ODD_FAILS)
        fails(file, EARSHOT_ERROR_FORMAT);
    free(bytes.data);
}

static void make_flipped(struct maker *maker, const char *name, int step)
{
    struct bytes bytes = fixture(name);
    char path[128];

    for (size_t i = (size_t)step; i < bytes.size; i += (size_t)step)
        bytes.data[i] ^= (unsigned char)(1 + random_below(9, 9, i, 255));
    snprintf(path, sizeof path, "flipped_%d_%s", step, name);
    add_bytes(maker, path, bytes.data, bytes.size);
    free(bytes.data);
}

static struct bytes good(const struct maker *maker, const char *name)
{
    char path[600];

    snprintf(path, sizeof path, "%s/%s", maker->directory, name);
    return load(path);
}

static void make_damaged(struct maker *maker)
{
    static const char *const flipped[] = {
        "steps.mp4",  "fragments.mp4", "open_gop.mkv", "steps.ts",     "steps.avi",
        "steps.flv",  "steps.ogv",     "steps.wmv",    "steps.mpg",    "steps.gif",
        "steps.apng", "cover.mp3",     "cover.flac",   "quarters.jpg", "quarters.webp",
        "click.aac",  "surround.ac3",  "steps.h264",   "prores.mov",   "three_tracks.mka",
    };
    struct bytes bytes;

    make_cut(maker, "good.mp4", good(maker, "good.mp4"), 500, ODD_FAILS, false, false);
    make_cut(maker, "good.mp4", good(maker, "good.mp4"), 980, ODD_EITHER, false, false);
    make_cut(maker, "good.mkv", good(maker, "good.mkv"), 500, ODD_OPENS, true, true);
    make_cut(maker, "good.mkv", good(maker, "good.mkv"), 5, ODD_EITHER, false, false);
    make_cut(maker, "good.webm", good(maker, "good.webm"), 700, ODD_OPENS, true, true);
    make_cut(maker, "good.avi", good(maker, "good.avi"), 600, ODD_OPENS, true, true);
    make_cut(maker, "fragments.mp4", fixture("fragments.mp4"), 600, ODD_OPENS, true, true);
    make_cut(maker, "faststart.mp4", fixture("faststart.mp4"), 700, ODD_OPENS, true, false);
    make_cut(maker, "steps.ts", fixture("steps.ts"), 700, ODD_OPENS, true, true);
    make_cut(maker, "steps.flv", fixture("steps.flv"), 600, ODD_OPENS, true, true);
    make_cut(maker, "steps.ogv", fixture("steps.ogv"), 100, ODD_EITHER, false, false);
    make_cut(maker, "steps.wmv", fixture("steps.wmv"), 600, ODD_EITHER, false, false);
    make_cut(maker, "steps.gif", fixture("steps.gif"), 300, ODD_OPENS, true, false);
    make_cut(maker, "cover.flac", fixture("cover.flac"), 600, ODD_EITHER, false, false);
    make_cut(maker, "cover.mp3", fixture("cover.mp3"), 600, ODD_OPENS, false, true);
    make_cut(maker, "click_u8.wav", fixture("click_u8.wav"), 500, ODD_OPENS, false, true);
    make_cut(maker, "quarters.jpg", fixture("quarters.jpg"), 800, ODD_EITHER, false, false);
    make_cut(maker, "quarters.png", fixture("quarters.png"), 400, ODD_FAILS, false, false);
    for (size_t i = 0; i < sizeof flipped / sizeof flipped[0]; i++) {
        make_flipped(maker, flipped[i], 211);
        make_flipped(maker, flipped[i], 17);
    }

    bytes = good(maker, "good.mp4");
    memset(bytes.data + 48, 0, bytes.size * 8 / 10 - 48); /* the coded data, mostly */
    add_bytes(maker, "blank_inside.mp4", bytes.data, bytes.size);
    free(bytes.data);
    bytes = good(maker, "good.mkv");
    memset(bytes.data + bytes.size / 2, 0xff, bytes.size / 4);
    opens(add_bytes(maker, "hole.mkv", bytes.data, bytes.size), true, true);
    memmove(bytes.data + 1000, bytes.data, bytes.size - 1000);
    memset(bytes.data, 0, 1000);
    add_bytes(maker, "junk_in_front.mkv", bytes.data, bytes.size);
    free(bytes.data);
}

/* ---- headers that lie ---- */

static void make_wav(struct maker *maker, const char *name, int format, unsigned channels,
                     unsigned rate_hz, unsigned bits, uint32_t data_size, const void *data,
                     size_t size)
{
    unsigned char header[44] = "RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0";
    unsigned block = channels * bits / 8;
    const uint32_t fields[] = {(uint32_t)format | channels << 16, rate_hz, rate_hz * block,
                               (block & 0xffff) | bits << 16};
    struct odd_file *file = add(maker, name);
    FILE *stream = fopen(file->path, "wb");

    assert_non_null(stream);
    for (int i = 0; i < 16; i++)
        header[20 + i] = (unsigned char)(fields[i / 4] >> 8 * (i % 4));
    memcpy(header + 36, "data", 4);
    for (int i = 0; i < 4; i++)
        header[40 + i] = (unsigned char)(data_size >> 8 * i);
    assert_int_equal(fwrite(header, 1, sizeof header, stream), sizeof header);
    assert_int_equal(fwrite(data, 1, size, stream), size);
    fclose(stream);
}

static void make_wavs(struct maker *maker)
{
    static const float wild[] = {NAN, INFINITY, -INFINITY, 1e38F, -1e38F, 0.5F, 1e-42F, 0};
    static unsigned char silence[32000];
    static float samples[16000];
    struct odd_file *last;

    for (int i = 0; i < 16000; i++)
        samples[i] = wild[i % 8];
    make_wav(maker, "not_a_number.wav", 3, 1, 16000, 32, sizeof samples, samples, sizeof samples);
    last = &maker->files.file[maker->files.count - 1];
    opens(last, false, true);
    make_wav(maker, "not_a_number_44100.wav", 3, 2, 44100, 32, sizeof samples, samples,
             sizeof samples);
    opens(&maker->files.file[maker->files.count - 1], false, true);
    make_wav(maker, "silence.wav", 1, 1, 16000, 16, sizeof silence, silence, sizeof silence);
    opens(&maker->files.file[maker->files.count - 1], false, true);
    make_wav(maker, "says_4_gigabytes.wav", 1, 1, 16000, 16, 0xfffffff0, silence, sizeof silence);
    opens(&maker->files.file[maker->files.count - 1], false, true);
    make_wav(maker, "says_nothing.wav", 1, 1, 16000, 16, 0, silence, sizeof silence);
    make_wav(maker, "no_samples.wav", 1, 1, 16000, 16, 0, silence, 0);
    make_wav(maker, "no_channels.wav", 1, 0, 16000, 16, sizeof silence, silence, sizeof silence);
    make_wav(maker, "65535_channels.wav", 1, 65535, 16000, 16, sizeof silence, silence,
             sizeof silence);
    make_wav(maker, "0_hz.wav", 1, 1, 0, 16, sizeof silence, silence, sizeof silence);
    make_wav(maker, "1_hz.wav", 1, 1, 1, 16, sizeof silence, silence, sizeof silence);
    make_wav(maker, "4_ghz.wav", 1, 1, 0xffffffff, 16, sizeof silence, silence, sizeof silence);
    make_wav(maker, "191999_hz.wav", 1, 1, 191999, 16, sizeof silence, silence, sizeof silence);
    opens(&maker->files.file[maker->files.count - 1], false, true);
    make_wav(maker, "unknown_codec.wav", 0x7777, 1, 16000, 16, sizeof silence, silence,
             sizeof silence);
    fails(&maker->files.file[maker->files.count - 1], EARSHOT_ERROR_UNSUPPORTED);
}

/* Copies `from` under another name with bytes after a marker replaced. */
static struct odd_file *make_patched(struct maker *maker, const char *name, struct bytes from,
                                     const char *marker, size_t offset, const void *with,
                                     size_t count)
{
    struct odd_file *file;

    patch(&from, marker, offset, with, count);
    file = add_bytes(maker, name, from.data, from.size);
    free(from.data);
    return file;
}

static void make_liars(struct maker *maker)
{
    static const unsigned char huge[8] = {0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff};
    static const unsigned char large[8] = {0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0}; /* 100000 */
    static const unsigned char ones[8] = {255, 255, 255, 255, 255, 255, 255, 255};
    static const unsigned char side[8] = {0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20}; /* 20000 */
    struct bytes bytes;

    /* mp4: durations, sample tables, codecs */
    opens(make_patched(maker, "movie_of_years.mp4", good(maker, "good.mp4"), "mvhd", 16, huge, 4),
          true, true);
    make_patched(maker, "track_of_years.mp4", good(maker, "good.mp4"), "mdhd", 16, huge, 4);
    make_patched(maker, "no_time_scale.mp4", good(maker, "good.mp4"), "mdhd", 12, "\0\0\0\0", 4);
    make_patched(maker, "many_times.mp4", good(maker, "good.mp4"), "stts", 4, huge, 4);
    make_patched(maker, "long_sample.mp4", good(maker, "good.mp4"), "stts", 12, huge, 4);
    make_patched(maker, "many_sizes.mp4", good(maker, "good.mp4"), "stsz", 8, huge, 4);
    make_patched(maker, "large_samples.mp4", good(maker, "good.mp4"), "stsz", 4, huge, 4);
    make_patched(maker, "offsets_outside.mp4", good(maker, "good.mp4"), "stco", 8, huge, 4);
    make_patched(maker, "edit_list.mp4", good(maker, "good.mp4"), "elst", 8, ones, 8);
    make_patched(maker, "edit_far.mp4", good(maker, "good.mp4"), "elst", 8, huge, 8);
    opens(make_patched(maker, "unknown_video.mp4", good(maker, "good.mp4"), "stsd", 12, "qqqq", 4),
          false, true);
    make_patched(maker, "large_avc.mp4", good(maker, "good.mp4"), "avc1", 24, ones, 4);
    make_patched(maker, "no_avcc.mp4", good(maker, "good.mp4"), "avcC", 0, ones, 8);

    /* pictures that claim to be enormous */
    fails(make_patched(maker, "100000x100000.png", fixture("quarters.png"), "IHDR", 0, large, 8),
          EARSHOT_ERROR_FORMAT);
    fails(make_patched(maker, "20000x20000.png", fixture("quarters.png"), "IHDR", 0, side, 8),
          EARSHOT_ERROR_FORMAT);
    make_patched(maker, "65535x65535.gif", fixture("steps.gif"), "GIF89a", 0, ones, 4);
    bytes = fixture("quarters.bmp");
    memcpy(bytes.data + 18, "\xff\xff\xff\x7f\xff\xff\xff\x7f", 8);
    add_bytes(maker, "2147483647x2147483647.bmp", bytes.data, bytes.size);
    free(bytes.data);

    /* matroska: element sizes */
    make_patched(maker, "cluster_size.mkv", good(maker, "good.mkv"), "\x1f\x43\xb6\x75", 0, huge,
                 8);
    make_patched(maker, "large_track.mkv", good(maker, "good.mkv"), "\x16\x54\xae\x6b", 0, ones, 8);
    make_patched(maker, "wide_track.mkv", good(maker, "good.mkv"), "V_MS/VFW/FOURCC", 4, ones, 8);
    bytes = fixture("subtitles_only.mkv");
    fails(add_bytes(maker, "only_subtitles.mkv", bytes.data, bytes.size), EARSHOT_ERROR_NO_STREAM);
    free(bytes.data);
}

/* Boxes inside boxes inside boxes. */
static void make_nested(struct maker *maker)
{
    static unsigned char bytes[8 * 4000];

    for (size_t i = 0; i < 4000; i++) {
        size_t size = sizeof bytes - 8 * i;

        for (int k = 0; k < 4; k++)
            bytes[8 * i + (size_t)k] = (unsigned char)(size >> 8 * (3 - k));
        memcpy(bytes + 8 * i + 4, i == 0 ? "ftyp" : "moov", 4);
        if (i == 0)
            bytes[0] = bytes[1] = bytes[2] = 0, bytes[3] = 8;
    }
    add_bytes(maker, "nested.mp4", bytes, sizeof bytes);
}

struct odd_files odd_files_make(const char *directory)
{
    struct maker maker = {.directory = directory};

    make_small_files(&maker);
    make_impostors(&maker);
    make_damaged(&maker);
    make_wavs(&maker);
    make_liars(&maker);
    make_nested(&maker);
    return maker.files;
}

void odd_files_free(struct odd_files *files)
{
    free(files->file);
    *files = (struct odd_files){0};
}
