// Runs in the browser: one face for hls.js and dash.js. The driver calls window.player.
const video = document.getElementById("video");
const state = { errors: [], switched: [] };

function hlsPlayer(url) {
  const hls = new Hls({ enableWorker: false });
  // Of a transport stream hls.js takes the first decoding time for the beginning, which lies before the first picture.
  const isStart = (data) => data.details === "bufferSeekOverHole" && video.currentTime < 0.2;
  hls.on(Hls.Events.ERROR, (_, data) => {
    if (data.fatal || (data.details !== "bufferStalledError" && !isStart(data))) state.errors.push(`${data.type} ${data.details} ${data.error ?? ""}`);
  });
  hls.on(Hls.Events.LEVEL_SWITCHED, (_, data) => state.switched.push(data.level));
  const ready = new Promise((resolve) => hls.on(Hls.Events.MANIFEST_PARSED, resolve));
  hls.loadSource(url);
  hls.attachMedia(video);
  return {
    ready,
    renditions: () => hls.levels.map((level) => ({ width: level.width, height: level.height, bitrate: level.bitrate })),
    audioTracks: () => hls.audioTracks.length,
    textTracks: () => hls.subtitleTracks.length,
    choose: (index) => { hls.currentLevel = index; },
  };
}

function dashPlayer(url) {
  const dash = dashjs.MediaPlayer().create();
  dash.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: false } }, buffer: { fastSwitchEnabled: true } } });
  dash.on("error", (event) => state.errors.push(`${event.error?.code ?? ""} ${event.error?.message ?? event.error}`));
  dash.on("qualityChangeRendered", (event) => {
    if (event.mediaType === "video") state.switched.push(renditions().findIndex((one) => one.id === event.newRepresentation?.id));
  });
  const ready = new Promise((resolve) => dash.on("streamInitialized", resolve));
  dash.initialize(video, url, false);
  const renditions = () => dash.getRepresentationsByType("video");
  return {
    ready,
    renditions: () => renditions().map((one) => ({ width: one.width, height: one.height, bitrate: one.bandwidth })),
    audioTracks: () => dash.getTracksFor("audio").length,
    textTracks: () => dash.getTracksFor("text").length,
    choose: (index) => dash.setRepresentationForTypeByIndex("video", index, true),
  };
}

window.player = {
  state,
  open: async (kind, url) => {
    const player = kind === "hls" ? hlsPlayer(url) : dashPlayer(url);
    Object.assign(window.player, player);
    await player.ready;
    await video.play();
  },
  time: () => video.currentTime,
  duration: () => video.duration,
  seek: (seconds) => { video.currentTime = seconds; },
  size: () => [video.videoWidth, video.videoHeight],
  frames: () => video.getVideoPlaybackQuality().totalVideoFrames,
};
