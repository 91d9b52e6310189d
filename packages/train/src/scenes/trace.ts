/**
 * A small ray tracer: spheres, boxes and upright cylinders, for scenes of things on a table.
 *
 * Space: x to the right, y up, z away from the viewer. Rays carry no state; hits are written to one record.
 */

export type Vector = readonly [x: number, y: number, z: number];

export type Solid =
  | { readonly form: "sphere"; readonly center: Vector; readonly radius: number }
  /** Turned about its vertical axis by the angle whose cosine and sine are given. */
  | { readonly form: "box"; readonly center: Vector; readonly half: Vector; readonly cos: number; readonly sin: number }
  | { readonly form: "cylinder"; readonly center: Vector; readonly radius: number; readonly half: number };

/** Where a ray meets a solid. */
export interface Hit {
  /** Distance along the ray. */
  t: number;
  /** Which solid; -1 for none. */
  index: number;
  normal: [number, number, number];
}

export function createHit(): Hit {
  return { t: Number.POSITIVE_INFINITY, index: -1, normal: [0, 0, 0] };
}

const NEAR = 1e-4;

/** The nearest solid along a ray with unit direction (dx, dy, dz), written to `hit`; returns whether there is one. */
export function trace(
  solids: readonly Solid[],
  ox: number,
  oy: number,
  oz: number,
  dx: number,
  dy: number,
  dz: number,
  hit: Hit,
): boolean {
  hit.t = Number.POSITIVE_INFINITY;
  hit.index = -1;
  for (let index = 0; index < solids.length; index++) {
    const solid = solids[index] as Solid;
    const x = ox - solid.center[0];
    const y = oy - solid.center[1];
    const z = oz - solid.center[2];
    const before = hit.t;
    if (solid.form === "sphere") meetSphere(solid.radius, x, y, z, dx, dy, dz, hit);
    else if (solid.form === "cylinder") meetCylinder(solid.radius, solid.half, x, y, z, dx, dy, dz, hit);
    else {
      const { cos, sin, half } = solid;
      const found = meetBox(
        half,
        cos * x + sin * z,
        y,
        cos * z - sin * x,
        cos * dx + sin * dz,
        dy,
        cos * dz - sin * dx,
        hit,
      );
      if (found) {
        const nx = hit.normal[0];
        const nz = hit.normal[2];
        hit.normal[0] = cos * nx - sin * nz;
        hit.normal[2] = sin * nx + cos * nz;
      }
    }
    if (hit.t < before) hit.index = index;
  }
  return hit.index >= 0;
}

function meetSphere(
  radius: number,
  x: number,
  y: number,
  z: number,
  dx: number,
  dy: number,
  dz: number,
  hit: Hit,
): void {
  const b = x * dx + y * dy + z * dz;
  const discriminant = b * b - (x * x + y * y + z * z - radius * radius);
  if (discriminant < 0) return;
  const t = -b - Math.sqrt(discriminant);
  if (t < NEAR || t >= hit.t) return;
  hit.t = t;
  hit.normal[0] = (x + t * dx) / radius;
  hit.normal[1] = (y + t * dy) / radius;
  hit.normal[2] = (z + t * dz) / radius;
}

function meetCylinder(
  radius: number,
  half: number,
  x: number,
  y: number,
  z: number,
  dx: number,
  dy: number,
  dz: number,
  hit: Hit,
): void {
  const a = dx * dx + dz * dz + 1e-12;
  const b = x * dx + z * dz;
  const discriminant = b * b - a * (x * x + z * z - radius * radius);
  if (discriminant < 0) return;
  const side = (-b - Math.sqrt(discriminant)) / a;
  const height = y + side * dy;
  if (side > NEAR && side < hit.t && Math.abs(height) <= half) {
    hit.t = side;
    hit.normal[0] = (x + side * dx) / radius;
    hit.normal[1] = 0;
    hit.normal[2] = (z + side * dz) / radius;
  }
  const lid = (half - y) / dy;
  const px = x + lid * dx;
  const pz = z + lid * dz;
  if (dy < 0 && lid > NEAR && lid < hit.t && px * px + pz * pz <= radius * radius) {
    hit.t = lid;
    hit.normal[0] = 0;
    hit.normal[1] = 1;
    hit.normal[2] = 0;
  }
}

/** Slab test in the box's own axes; the normal is in them too. */
function meetBox(half: Vector, x: number, y: number, z: number, dx: number, dy: number, dz: number, hit: Hit): boolean {
  const ix = 1 / (dx === 0 ? 1e-12 : dx);
  const iy = 1 / (dy === 0 ? 1e-12 : dy);
  const iz = 1 / (dz === 0 ? 1e-12 : dz);
  const reachX = half[0] * Math.abs(ix);
  const reachY = half[1] * Math.abs(iy);
  const reachZ = half[2] * Math.abs(iz);
  const nearX = -x * ix - reachX;
  const nearY = -y * iy - reachY;
  const nearZ = -z * iz - reachZ;
  const enter = Math.max(nearX, nearY, nearZ);
  const leave = Math.min(-x * ix + reachX, -y * iy + reachY, -z * iz + reachZ);
  if (enter > leave || enter < NEAR || enter >= hit.t) return false;
  hit.t = enter;
  hit.normal[0] = enter === nearX ? -Math.sign(dx) : 0;
  hit.normal[1] = enter === nearY ? -Math.sign(dy) : 0;
  hit.normal[2] = enter === nearZ ? -Math.sign(dz) : 0;
  return true;
}
