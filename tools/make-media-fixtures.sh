#!/usr/bin/env bash
# make-media-fixtures.sh: makes tests/fixtures/media with the ffmpeg program: small files of kinds
# that media/writer.h cannot write.  Run by hand when a kind is added; the results are committed.
#
# Pictures are 32x24.  "steps": frame n is the grey 40 + 8 n.  "quarters": red, green over blue,
# white.  The sound of "click" files is silence but for one pulse of 10 ms at 0.5 s.
set -euo pipefail
cd "$(dirname "$0")/../tests/fixtures/media"
f() { ffmpeg -nostdin -v error -y -fflags +bitexact "$@" -fflags +bitexact -flags:v +bitexact -flags:a +bitexact; }
lavfi() { printf '%s' "-f lavfi -i $1"; }

steps='color=black:s=32x24:r=25:d=0.96,format=gray,geq=lum=40+8*N,format=yuv420p'
long='color=black:s=32x24:r=25:d=8,format=gray,geq=lum=40+N,format=yuv420p'
quarters='color=red:s=16x12:r=25:d=0.2[a];color=lime:s=16x12:r=25:d=0.2[b];color=blue:s=16x12:r=25:d=0.2[c];color=white:s=16x12:r=25:d=0.2[d];[a][b]hstack[e];[c][d]hstack[g];[e][g]vstack'
click() { echo "aevalsrc='0.8*between(t,0.5,0.51)':s=$1:d=0.96"; }
x264='-c:v libx264 -preset slow -crf 12 -threads 1 -x264-params bframes=3:b-adapt=0'

# containers and codecs
f $(lavfi "$steps") $(lavfi "$(click 44100)") $x264 -c:a aac -b:a 32k steps.mp4
f $(lavfi "$steps") $(lavfi "$(click 44100)") $x264 -c:a aac -b:a 32k -movflags +frag_keyframe+empty_moov -g 5 fragments.mp4
f $(lavfi "$steps") $(lavfi "$(click 48000)") $x264 -c:a libmp3lame -b:a 32k -g 8 -f mpegts steps.ts
f $(lavfi "$steps") $(lavfi "$(click 44100)") $x264 -c:a aac -b:a 32k -g 8 steps.flv
f $(lavfi "$steps") $(lavfi "$(click 22050)") -c:v mpeg4 -bf 2 -q:v 2 -c:a adpcm_ima_wav -g 8 steps.avi
f $(lavfi "$steps") $(lavfi "$(click 48000)") -c:v mpeg2video -bf 2 -q:v 2 -g 6 -c:a mp2 -b:a 32k -f vob steps.mpg
f $(lavfi "$steps") $(lavfi "$(click 44100)") -c:v libtheora -q:v 9 -c:a libvorbis -b:a 48k steps.ogv
f $(lavfi "$steps") $(lavfi "$(click 44100)") -c:v wmv2 -q:v 2 -c:a wmav2 -b:a 32k steps.wmv
f $(lavfi "$steps") $x264 -f h264 steps.h264
f $(lavfi "$steps") -c:v mjpeg -q:v 2 -f mjpeg steps.mjpeg
f $(lavfi "$steps") -c:v gif steps.gif
f $(lavfi "$steps") -c:v apng -f apng steps.apng
f $(lavfi "$steps") -c:v libx265 -preset fast -x265-params log-level=none:crf=10:pools=1 -pix_fmt yuv420p10le -tag:v hvc1 ten_bit.mp4
f $(lavfi "$steps") -c:v prores_ks -profile:v 0 -pix_fmt yuv422p10le -frames:v 4 prores.mov
# seeking: open groups of pictures; one key frame for 8 s
f $(lavfi "$long") -c:v libx264 -preset slow -crf 12 -threads 1 -x264-params bframes=3:b-adapt=0:open-gop=1:keyint=24:scenecut=0 open_gop.mkv
f $(lavfi "$long") -c:v libx264 -preset slow -crf 12 -threads 1 -x264-params bframes=3:b-adapt=0:open-gop=1:keyint=24:scenecut=0 -t 4 -f mpegts open_gop.ts
f $(lavfi "$long") -c:v libx264 -preset slow -crf 12 -threads 1 -x264-params keyint=1000:scenecut=0 one_key.mp4
f $(lavfi "$long") -c:v libx264 -preset slow -crf 12 -threads 1 -g 25 -movflags +faststart faststart.mp4
# time
f $(lavfi "$steps,settb=1/1000,setpts=10*N*N") $x264 -vsync vfr -enc_time_base 1:1000 variable_rate.mkv
f $(lavfi "$steps") $(lavfi "$(click 48000)") $x264 -c:a flac -output_ts_offset 100 starts_at_100.mkv
f $(lavfi "$steps") -itsoffset 0.3 $(lavfi "$(click 16000)") $x264 -c:a flac late_sound.mkv
f -itsoffset 0.3 $(lavfi "$steps") $(lavfi "$(click 16000)") -map 0:v -map 1:a $x264 -c:a flac late_picture.mkv
f $(lavfi "aevalsrc='0.5*sin(2*PI*400*t)':s=8000:d=2,aselect='not(between(t,0.5,1.2))'") -c:a pcm_s16le gap.mkv
# geometry and colour
f $(lavfi "$quarters,format=yuv444p") -c:v libx264 -preset slow -crf 4 -threads 1 quarters.mp4
f $(lavfi "$quarters,format=yuv444p,setsar=2/1") -c:v libx264 -preset slow -crf 4 -threads 1 anamorphic.mp4
f $(lavfi "color=red:s=31x23:r=25:d=0.2,scale=out_color_matrix=bt709:out_range=tv,format=yuv444p") -colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv -c:v libx264 -preset slow -crf 4 -threads 1 bt709.mkv
f $(lavfi "color=red:s=32x24:r=25:d=0.2,scale=out_color_matrix=bt601:out_range=full,format=yuv444p") -colorspace smpte170m -color_range pc -c:v libx264 -preset slow -crf 4 -threads 1 full_range.mkv
f $(lavfi "$quarters") -frames:v 1 quarters.png
f $(lavfi "$quarters") -frames:v 1 -q:v 1 quarters.jpg
f $(lavfi "$quarters") -frames:v 1 quarters.bmp
f $(lavfi "$quarters") -frames:v 1 -lossless 1 quarters.webp
f $(lavfi "color=white@0.5:s=32x24:r=25:d=0.04,format=rgba") -frames:v 1 half_transparent.png
f $(lavfi "color=white@0.0:s=32x24:r=25:d=0.04,format=rgba,split[a][b];[a]palettegen[p];[b][p]paletteuse") -frames:v 1 -c:v gif transparent.gif
# sound
f $(lavfi "aevalsrc='0.6|0|0|0|0|0':c=5.1:s=48000:d=0.5") -c:a flac surround.flac
f $(lavfi "aevalsrc='0.5*sin(2*PI*440*t)|0|0|0|0|0':c=5.1:s=48000:d=0.5") -c:a ac3 -b:a 128k surround.ac3
f $(lavfi "aevalsrc='0.1':s=8000:d=0.5") $(lavfi "aevalsrc='0.4':s=16000:d=0.5") $(lavfi "aevalsrc='0.8':s=32000:d=0.5") -map 0 -map 1 -map 2 -c:a flac -disposition:a:0 0 -disposition:a:1 default three_tracks.mka
f $(lavfi "$(click 44100)") $(lavfi "$quarters") -map 0 -map 1 -frames:v 1 -c:v png -disposition:v attached_pic -c:a libmp3lame -b:a 32k -id3v2_version 3 cover.mp3
f $(lavfi "$(click 44100)") -c:a aac -b:a 32k -f adts click.aac
f $(lavfi "$(click 8000)") -c:a pcm_alaw click_alaw.wav
f $(lavfi "$(click 11025)") -c:a pcm_u8 click_u8.wav
f $(lavfi "$(click 24000)") -c:a pcm_s24le -t 0.6 click_s24.wav
f $(lavfi "$(click 44100)") $(lavfi "$quarters") -map 0 -map 1 -frames:v 1 -c:v png -disposition:v attached_pic -c:a flac cover.flac
printf '1\n00:00:00,000 --> 00:00:01,000\nhello\n' | f -f srt -i - -c:s srt subtitles_only.mkv
du -sb .
