/** Balls, boxes and cylinders on a table: checkers, wood, marble, stripes and metal, with soft shadows and reflections. */
import type { Random } from "@dcae/core/graph";
import { type Canvas, type Color, paint } from "./canvas.js";
import { between, clamp, hex, lit, pick, smoothstep, vary } from "./shading.js";
import {
  createHit,
  type Hit,
  type Material,
  randomMaterial,
  type Solid,
  texture,
  trace,
  type Vector,
} from "./trace.js";

interface Setting {
  readonly solids: readonly Solid[];
  readonly materials: readonly Material[];
  readonly table: Material;
  readonly wall: Material;
  /** Toward the lamp. */
  readonly lamp: Vector;
  readonly lampColor: Color;
  /** Scratch color of what a surface mirrors: allocating one per ray would cost more than tracing it. */
  readonly mirrored: Color;
}

const MATTE: readonly [number] = [0.01];

/** Camera: in front of the table, a little above it, looking slightly down. */
const EYE: Vector = [0, 1.7, -4.4];
const ZOOM = 1.9;
const DOWN = 0.23;
const WALL_Z = 3.2;

export function stillLife(canvas: Canvas, random: Random): void {
  const setting = randomSetting(random, canvas.aspect);
  const hit = createHit();
  const other = createHit();
  const sub: Color = [0, 0, 0];
  const ids = new Int32Array(canvas.width * canvas.height);
  const size = canvas.height;
  paint(canvas, (x, y, out) => {
    ids[Math.floor(y * size) * canvas.width + Math.floor(x * size)] = shade(setting, canvas, x, y, hit, other, out);
    return 1;
  });
  // Where neighbors see different things, four more rays smooth the edge.
  const step = canvas.pixel / 4;
  paint(canvas, (x, y, out) => {
    const at = Math.floor(y * size) * canvas.width + Math.floor(x * size);
    const id = ids[at];
    const same =
      ids[at + 1] === id && ids[at - 1] === id && ids[at + canvas.width] === id && ids[at - canvas.width] === id;
    if (same) return 0;
    out[0] = out[1] = out[2] = 0;
    for (let i = 0; i < 4; i++) {
      shade(setting, canvas, x + (i & 1 ? step : -step), y + (i & 2 ? step : -step), hit, other, sub);
      for (let c = 0; c < 3; c++) out[c] = (out[c] as number) + (sub[c] as number) / 4;
    }
    return 1;
  });
}

function randomSetting(random: Random, aspect: number): Setting {
  const count = 5 + random.nextInteger(4);
  const solids: Solid[] = [];
  const materials: Material[] = [];
  const spread = 1.5 * Math.max(aspect, 0.7);
  const taken: { x: number; z: number; r: number }[] = [];
  for (let attempt = 0; attempt < 60 && solids.length < count; attempt++) {
    const r = between(random, 0.22, 0.6);
    const x = between(random, -spread, spread);
    const z = between(random, -1, 2.1);
    if (taken.some((o) => (o.x - x) * (o.x - x) + (o.z - z) * (o.z - z) < (o.r + r) * (o.r + r) * 0.95)) continue;
    taken.push({ x, z, r });
    const form = random.nextInteger(4);
    if (form <= 1) {
      solids.push({ form: "sphere", center: [x, r, z], radius: r });
      materials.push(
        randomMaterial(random, ["plain", "plain", "stripes", "marble", "speckle", "wood"], [0.03, 0.06, 0.1, 0.55]),
      );
    } else if (form === 2) {
      const tall = between(random, 0.5, 1.5) * r;
      const sin = between(random, -0.7, 0.7);
      const half: Vector = [r * 0.72, tall, r * 0.72];
      solids.push({ form: "box", center: [x, tall, z], half, cos: Math.sqrt(1 - sin * sin), sin });
      materials.push(randomMaterial(random, ["plain", "checker", "wood", "stripes", "marble"], MATTE));
    } else {
      const half = between(random, 0.6, 1.6) * r;
      solids.push({ form: "cylinder", center: [x, half, z], radius: r * 0.75, half });
      materials.push(randomMaterial(random, ["stripes", "plain", "wood", "marble", "checker"], [0.01, 0.05]));
    }
  }
  const lampX = between(random, -0.8, 0.8);
  const length = Math.sqrt(lampX * lampX + 1 + 0.36);
  return {
    solids,
    materials,
    table: randomMaterial(random, ["checker", "wood", "wood", "marble", "plain"], [0.02, 0.06]),
    wall: randomMaterial(random, ["plain", "plain", "stripes", "speckle"], MATTE),
    lamp: [lampX / length, 1 / length, -0.6 / length],
    lampColor: vary(random, pick(random, [hex(0xfff3dc), hex(0xfff9f0), hex(0xffe2b8), hex(0xe8f0ff)]), 0.06),
    mirrored: [0, 0, 0],
  };
}

/** Color of what is seen at (x, y); returns a number that differs between things with an edge between them. */
function shade(setting: Setting, canvas: Canvas, x: number, y: number, hit: Hit, other: Hit, out: Color): number {
  const px = x - canvas.aspect / 2;
  const py = 0.5 - y - DOWN * ZOOM;
  const length = Math.sqrt(px * px + py * py + ZOOM * ZOOM);
  return follow(setting, EYE[0], EYE[1], EYE[2], px / length, py / length, ZOOM / length, hit, other, out, 1);
}

function follow(
  setting: Setting,
  ox: number,
  oy: number,
  oz: number,
  dx: number,
  dy: number,
  dz: number,
  hit: Hit,
  other: Hit,
  out: Color,
  bounces: number,
): number {
  const { solids, lamp, lampColor } = setting;
  trace(solids, ox, oy, oz, dx, dy, dz, hit);
  let index = hit.index;
  let t = hit.t;
  const { normal } = hit;
  let nx = normal[0];
  let ny = normal[1];
  let nz = normal[2];
  const table = dy < 0 ? -oy / dy : Number.POSITIVE_INFINITY;
  const wall = dz > 0 ? (WALL_Z - oz) / dz : Number.POSITIVE_INFINITY;
  if (Math.min(table, wall) < t) {
    const onTable = table < wall;
    t = onTable ? table : wall;
    index = onTable ? -1 : -2;
    nx = 0;
    ny = onTable ? 1 : 0;
    nz = onTable ? 0 : -1;
  }
  if (t === Number.POSITIVE_INFINITY) {
    // Behind the viewer: a bright room with a window, which is what shiny things mirror.
    const window = dx > -0.5 && dx < 0.1 && dy > 0.15 && dy < 0.65 && Math.abs(dx + 0.2) > 0.02 ? 1.6 : 0;
    lit(out, lampColor, 0.12 + 0.25 * clamp(dy) + window);
    return 900;
  }
  const x = ox + t * dx;
  const y = oy + t * dy;
  const z = oz + t * dz;
  const material = index === -1 ? setting.table : index === -2 ? setting.wall : (setting.materials[index] as Material);
  const solid = solids[index];
  // Mirrored patterns are seen small: details would turn into noise.
  const octaves = bounces > 0 ? 5 : 2;
  const part = texture(material, index, solid, octaves, x, y, z, nx, ny, nz, out);
  // Light from the lamp, through a shadow that softens with distance from what casts it.
  const facing = nx * lamp[0] + ny * lamp[1] + nz * lamp[2];
  const direct = facing > 0 ? clamp(facing) * shadow(solids, index, x, y, z, lamp) : 0;
  const contact = index === -1 ? contactShade(solids, x, z) : 0.55 + 0.45 * clamp(0.5 + 0.5 * ny + y * 0.4);
  for (let c = 0; c < 3; c++) {
    const ambient = (0.2 + 0.1 * ny + (c === 2 ? 0.02 : 0)) * contact;
    out[c] = (out[c] as number) * (ambient + 0.95 * direct * (lampColor[c] as number));
  }
  if (index >= 0) {
    // Highlight of the lamp.
    const hx = lamp[0] - dx;
    const hy = lamp[1] - dy;
    const hz = lamp[2] - dz;
    const half = (nx * hx + ny * hy + nz * hz) / Math.sqrt(hx * hx + hy * hy + hz * hz);
    const gloss = smoothstep(0.975, 0.999, half) * (direct > 0 ? 1 : 0) * (0.25 + material.mirror);
    for (let c = 0; c < 3; c++) out[c] = (out[c] as number) + gloss * (lampColor[c] as number);
  }
  const slant = 1 + nx * dx + ny * dy + nz * dz;
  const fresnel = material.mirror + (1 - material.mirror) * slant * slant * slant * slant * slant * 0.5;
  if (bounces > 0 && material.mirror > 0.02 && fresnel > 0.03) {
    const twice = 2 * (nx * dx + ny * dy + nz * dz);
    const rx = dx - twice * nx;
    const ry = dy - twice * ny;
    const rz = dz - twice * nz;
    const mirrored = setting.mirrored;
    follow(setting, x + nx * 1e-3, y + ny * 1e-3, z + nz * 1e-3, rx, ry, rz, other, hit, mirrored, bounces - 1);
    for (let c = 0; c < 3; c++) {
      const metal = material.mirror > 0.3 ? 0.35 + 0.65 * (material.first[c] as number) : 1;
      out[c] = (out[c] as number) * (1 - fresnel) + (mirrored[c] as number) * fresnel * metal;
    }
  }
  return (index + 3) * 8 + part;
}

/** Light that reaches a point past the solids, 0 to 1: the lamp is a wide area, so edges are soft. */
function shadow(solids: readonly Solid[], self: number, x: number, y: number, z: number, lamp: Vector): number {
  let light = 1;
  for (let index = 0; index < solids.length; index++) {
    if (index === self) continue;
    const { center } = solids[index] as Solid;
    const solid = solids[index] as Solid;
    const cx = center[0] - x;
    const cy = center[1] - y;
    const cz = center[2] - z;
    const along = cx * lamp[0] + cy * lamp[1] + cz * lamp[2];
    if (along < 0) continue;
    // Distance of the ray from the solid's axis or center, against its radius.
    let away: number;
    let radius: number;
    if (solid.form === "sphere") {
      radius = solid.radius;
      away = Math.sqrt(Math.max(cx * cx + cy * cy + cz * cz - along * along, 0));
    } else {
      const half = solid.form === "box" ? solid.half[1] : solid.half;
      radius = solid.form === "box" ? solid.half[0] * 1.12 : solid.radius;
      // The ray passes the solid's heights between t0 and t1; the closest approach to the axis lies there.
      const flat = lamp[0] * lamp[0] + lamp[2] * lamp[2];
      const t = clamp(
        (cx * lamp[0] + cz * lamp[2]) / (flat + 1e-9),
        Math.max((cy - half) / lamp[1], 0),
        Math.max((cy + half) / lamp[1], 0),
      );
      if (cy + half < 0) continue;
      const ax = cx - t * lamp[0];
      const az = cz - t * lamp[2];
      away = Math.sqrt(ax * ax + az * az);
    }
    const blur = 0.02 + 0.11 * along;
    light *= smoothstep(radius - blur, radius + blur, away);
  }
  return light;
}

/** Darkening of the table close to things that stand on it. */
function contactShade(solids: readonly Solid[], x: number, z: number): number {
  let light = 1;
  for (const solid of solids) {
    const dx = x - solid.center[0];
    const dz = z - solid.center[2];
    const radius = solid.form === "box" ? solid.half[0] * 1.1 : solid.radius;
    const d2 = (dx * dx + dz * dz) / (radius * radius);
    light *= 1 - 0.65 / (1 + d2 * d2 * 0.8);
  }
  return light;
}
