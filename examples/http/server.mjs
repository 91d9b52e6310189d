// POST /encode: a picture becomes a latent (.npy); POST /decode: a latent becomes a picture (.png). `PORT=8080 node server.mjs`
import { createServer } from "node:http";
import { AutoencoderDC, DataError, loadImage, ShapeError, toImage } from "@dcae/core";
import { decodeNpy, encodeNpy } from "@dcae/core/checkpoint";
import { encodeImage } from "@dcae/core/image";

/** Larger bodies are refused; no more than this is kept of them. */
const MAX_BYTES = 10e6;
/** A small file can hold a huge picture. */
const MAX_PIXELS = 25e6;
/** Latents of pictures up to 1024x1024. */
const MAX_LATENT = 32 * 32 * 32;
/** Requests that compute or wait; more would only wait longer and take memory. */
const MAX_PENDING = 8;
/** Milliseconds for a request to arrive. */
const TIMEOUT = 30_000;

const ae = await AutoencoderDC.fromPretrained("small-f32");
let pending = 0;
let last = Promise.resolve();

const server = createServer({ requestTimeout: TIMEOUT }, async (request, response) => {
  const work = { "/encode": encode, "/decode": decode }[request.url];
  try {
    if (work === undefined || request.method !== "POST") throw new Refused(404, "POST /encode or /decode");
    if (pending >= MAX_PENDING) throw new Refused(503, "busy, try again");
    pending++;
    try {
      const body = await readBody(request);
      const { type, bytes } = await oneAtATime(() => work(body));
      response.writeHead(200, { "content-type": type, "content-length": bytes.length }).end(bytes);
    } finally {
      pending--;
    }
  } catch (error) {
    // What is wrong with a picture or a latent is said; what is wrong here isn't.
    const isTheirs = error instanceof DataError || error instanceof ShapeError;
    const status = error instanceof Refused ? error.status : isTheirs ? 400 : 500;
    if (status === 500) console.error(error);
    await dropRest(request);
    const headers = status === 503 ? { "retry-after": "1" } : {};
    response.writeHead(status, { "content-type": "text/plain", connection: "close", ...headers });
    response.end(`${status === 500 ? "failed" : error.message}\n`);
  }
});

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function encode(body) {
  const picture = await loadImage(body, { size: 256, maxPixels: MAX_PIXELS });
  return { type: "application/octet-stream", bytes: encodeNpy(await ae.encode(picture)) };
}

async function decode(body) {
  const latent = decodeNpy(body, "the latent");
  if (latent.size > MAX_LATENT) throw new Refused(413, `a latent has at most ${MAX_LATENT} values`);
  return { type: "image/png", bytes: await encodeImage(toImage(await ae.decode(latent)), "png") };
}

async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BYTES) chunks.length = 0;
    else chunks.push(chunk);
  }
  if (size > MAX_BYTES) throw new Refused(413, `at most ${MAX_BYTES} bytes`);
  return Buffer.concat(chunks);
}

/** Takes what is still coming: a client that is sending reads no answer. The time limit of requests ends it. */
async function dropRest(request) {
  if (request.readableEnded) return;
  try {
    for await (const _ of request);
  } catch {
    // It went away.
  }
}

/** One computation uses all cores: two at once would be slower, and take twice the memory. */
function oneAtATime(work) {
  const result = last.then(work);
  last = result.catch(() => undefined);
  return result;
}

server.listen(Number(process.env.PORT ?? 8080), () => console.log(`http://localhost:${server.address().port}`));

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    server.close(() => ae.dispose());
    server.closeIdleConnections();
  });
}
