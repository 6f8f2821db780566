// Plays a stream in Chromium: the first seconds, a seek, a switch to each rendition. Prints one line of JSON.
//   node play.mjs MODULES hls|dash URL SECONDS SEEK_TO
// MODULES: folder with node_modules. URL: also the path of a manifest in a folder, which is served then. CHROMIUM names the browser.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const [modules, kind, source, seconds, seekTo] = process.argv.slice(2);
const isFolder = source.startsWith("/");
let url = source;
const require = createRequire(join(modules, "package.json"));
const { chromium } = require("playwright-core");
const here = dirname(fileURLToPath(import.meta.url));
const library = kind === "hls" ? "hls.js/dist/hls.min.js" : "dashjs/dist/modern/umd/dash.all.min.js";
const files = {
  "/": [join(here, "page.html"), "text/html"],
  "/page.js": [join(here, "page.js"), "text/javascript"],
  "/library.js": [join(modules, "node_modules", library), "text/javascript"],
};
const deadline = Date.now() + (Number(seconds) + 90) * 1000;

async function until(what, condition) {
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function drive(page, result) {
  const ask = (name, ...args) => page.evaluate(([name, args]) => window.player[name](...args), [name, args]);
  const advances = async (from, by, what) => until(what, async () => (await ask("time")) >= from + by);
  await page.evaluate(([kind, url]) => window.player.open(kind, url), [kind, url]);
  await advances(0, Number(seconds), `${seconds} s played`);
  result.duration = await ask("duration");
  result.renditions = await ask("renditions");
  result.audio_tracks = await ask("audioTracks");
  result.text_tracks = await ask("textTracks");
  await ask("seek", Number(seekTo));
  await advances(Number(seekTo), 1, "playing after the seek");
  result.sizes = [];
  for (const [index, rendition] of result.renditions.entries()) {
    if (result.renditions.length > 1) await ask("choose", index);
    // A media playlist alone does not tell the size.
    await until(`rendition ${index} shown`, async () => !rendition.height || (await ask("size"))[1] === rendition.height);
    await ask("seek", Number(seekTo));
    await advances(Number(seekTo), 1, `playing rendition ${index}`);
    result.sizes.push(await ask("size"));
  }
  result.frames = await ask("frames");
  result.errors = await page.evaluate(() => window.player.state.errors);
}

function serveMedia(name, request, response) {
  let bytes;
  try {
    bytes = readFileSync(join(dirname(source), basename(name)));
  } catch {
    return response.writeHead(404).end();
  }
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  if (!range) return response.writeHead(200, { "content-length": bytes.length }).end(bytes);
  const from = Number(range[1]);
  const to = range[2] === "" ? bytes.length - 1 : Math.min(Number(range[2]), bytes.length - 1);
  const part = bytes.subarray(from, to + 1);
  response.writeHead(206, { "content-range": `bytes ${from}-${to}/${bytes.length}`, "content-length": part.length }).end(part);
}

const server = createServer((request, response) => {
  if (isFolder && request.url.startsWith("/media/")) return serveMedia(decodeURIComponent(request.url.slice(7)), request, response);
  const file = files[request.url];
  if (!file) return response.writeHead(204).end();
  response.writeHead(200, { "content-type": file[1] }).end(readFileSync(file[0]));
});
server.listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
if (isFolder) url = `http://127.0.0.1:${server.address().port}/media/${encodeURIComponent(basename(source))}`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--disable-dev-shm-usage"],
});
const result = { errors: [], console: [] };
try {
  const page = await browser.newPage();
  page.on("console", (message) => message.type() === "error" && result.console.push(message.text()));
  page.on("pageerror", (error) => result.errors.push(String(error)));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  try {
    await drive(page, result);
  } catch (error) {
    result.errors.push(String(error), ...(await page.evaluate(() => window.player.state.errors)));
  }
} finally {
  await browser.close();
  server.close();
}
console.log(JSON.stringify(result));
