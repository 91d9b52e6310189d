/**
 * Export to ONNX: encoder and decoder as files that any ONNX Runtime runs, with dynamic batch, height and width.
 *
 * Sizes are symbols in the graph (a height is `f*h`), so one file serves all sizes that the model takes. What was written
 * is loaded again and compared with the model itself before it gets its name.
 */
import { mkdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { checkOptions, type OptionNames } from "../check-options.js";
import { writeDirectoryAtomic, writeFileAtomic } from "../checkpoint/atomic-file.node.js";
import type { Weights } from "../checkpoint/weights.js";
import { CheckpointError, ConfigError, EngineError } from "../errors.js";
import { symbol } from "../graph/dim.js";
import { byteSize } from "../graph/dtype.js";
import type { Program } from "../graph/program.js";
import { createRandom } from "../graph/random.js";
import { toHalfPrecision } from "../graph/rewrite/half-precision.js";
import { sizeOf, Tensor } from "../graph/tensor.js";
import type { ParameterSpec } from "../graph/value.js";
import { familyOf, hasPart } from "../models/families.js";
import { MODEL_PARTS, type ModelPartName } from "../models/family.js";
import { type ModelDescription, toModelConfigFile } from "../models/model-description.js";
import { buildDecodeProgram, buildEncodeProgram, type ProgramNames, programNames } from "../models/model-programs.js";
import { lowerProgram, type ParameterBinding } from "../onnx/lower-program.js";
import { type ExternalData, encodeModel, ONNX_OPSET } from "../onnx/model-proto.js";
import type { ComputeDType } from "../runtime/engine.js";
import { createWorkerSessionHost } from "../runtime/worker-session-host.node.js";
import type { Autoencoder } from "./autoencoder.js";

type ExportDType = Exclude<ComputeDType, "int8">;

/** Layouts of exports, see `ExportOptions`. */
export const EXPORT_LAYOUTS = ["plain", "optimum"] as const;
export type ExportLayout = (typeof EXPORT_LAYOUTS)[number];

/** Options of `export`: which halves, in which type, where large weights go. */
export interface ExportOptions {
  /** Default both. */
  readonly parts?: readonly ModelPartName[] | undefined;
  /**
   * Names of files, inputs and outputs (default "plain"). "optimum" is what Hugging Face's Optimum and tools of its kind load as parts of
   * a diffusion pipeline.
   */
  readonly layout?: ExportLayout | undefined;
  /** Type of weights and computation; inputs and outputs stay float32. Default "float32". */
  readonly dtype?: ExportDType | undefined;
  /** Weights of more bytes than this go to a file of external data beside the model (default 256 MiB). */
  readonly maxInlineBytes?: number | undefined;
  /** Replaces a folder that isn't empty (default false). */
  readonly overwrite?: boolean | undefined;
  readonly onProgress?: ((progress: ExportProgress) => void) | undefined;
}

const EXPORT_OPTIONS: OptionNames<ExportOptions> = {
  parts: true,
  layout: true,
  dtype: true,
  maxInlineBytes: true,
  overwrite: true,
  onProgress: true,
};

export interface ExportProgress {
  readonly part: ModelPartName;
  readonly stage: "write" | "verify";
  /** 0 to 1. */
  readonly fraction: number;
}

export interface ExportedPart {
  readonly part: ModelPartName;
  /** Names relative to the folder, the model last. */
  readonly files: readonly string[];
  /** Largest difference from the model itself, relative to the largest value, over the sizes that were tried. */
  readonly difference: number;
}

/** Largest relative difference that verification accepts. */
const TOLERANCE: Readonly<Record<ExportDType, number>> = { float32: 1e-4, float16: 5e-2 };
/** Batch, height and width (in latent positions) that verification runs. */
const VERIFIED_SIZES = [
  [1, 1, 1],
  [2, 2, 3],
] as const;

type Model = Autoencoder;

/** A part of an export: the file without ".onnx", and what its input and output are called. */
interface PartNames extends ProgramNames {
  readonly file: string;
}

/** Optimum's are those of VaeEncoderOnnxConfig, VaeDecoderOnnxConfig and modeling_diffusion.py in optimum-onnx. */
function partNames(model: Model, part: ModelPartName, layout: ExportLayout): PartNames {
  if (layout === "plain") return { file: part, ...programNames(model.description, part) };
  const file = `vae_${part}/model`;
  if (part === "decoder") return { file, input: "latent_sample", output: "sample" };
  const isGaussian = familyOf(model.description).latent.isRandom;
  return { file, input: "sample", output: isGaussian ? "latent_parameters" : "latent_sample" };
}

/** Encoder or decoder with symbolic batch, height and width. */
function dynamicProgram(model: Model, part: ModelPartName, names: ProgramNames): Program {
  const picture = [
    symbol("batch"),
    model.config.inChannels,
    symbol("h", model.compression),
    symbol("w", model.compression),
  ];
  const latent = [symbol("batch"), model.latentChannels, symbol("h"), symbol("w")];
  const { description } = model;
  return part === "encoder"
    ? buildEncodeProgram(description, picture, {}, names)
    : buildDecodeProgram(description, latent, names);
}

function testInput(model: Model, part: ModelPartName, [batch, h, w]: readonly [number, number, number]): Tensor {
  const f = model.compression;
  const shape =
    part === "encoder" ? [batch, model.config.inChannels, h * f, w * f] : [batch, model.latentChannels, h, w];
  const data = new Float32Array(sizeOf(shape));
  createRandom(0, `export ${part} ${shape.join("x")}`).uniform(data);
  return Tensor.float32(
    data.map((u) => 2 * u - 1),
    shape,
  );
}

/** What the model itself gives, in the form of the exported part's output. */
async function expectedOutput(model: Model, part: ModelPartName, x: Tensor): Promise<Tensor> {
  return part === "decoder" ? model.decode(x) : model.encodeLatent(x);
}

function relativeDifference(actual: Tensor, expected: Tensor): number {
  const [a, b] = [actual.toFloat32(), expected.toFloat32()];
  let difference = 0;
  let scale = 0;
  for (let i = 0; i < b.length; i++) {
    difference = Math.max(difference, Math.abs((a[i] as number) - (b[i] as number)));
    scale = Math.max(scale, Math.abs(b[i] as number));
  }
  return Number.isNaN(difference) || scale === 0 ? Number.POSITIVE_INFINITY : difference / scale;
}

/** Inputs by name, and what the model itself gives for them. */
interface OnnxCase {
  readonly inputs: ReadonlyMap<string, Tensor>;
  readonly expected: Tensor;
}

/** A program that is written as `<name>.onnx`. */
export interface VerifiedPart {
  readonly name: string;
  readonly program: Program;
  readonly weights: Weights;
  /** Shown by model viewers. */
  readonly metadata: Readonly<Record<string, string>>;
  /** What the file is run on before it counts. */
  readonly cases: readonly (() => Promise<OnnxCase>)[];
}

/** Loads what was written, as a stranger would, and compares it with the model on every case. */
async function verify(cases: VerifiedPart["cases"], folder: string, file: string): Promise<number> {
  const host = createWorkerSessionHost();
  try {
    const bytes = await readFile(join(folder, file));
    const session = await host.createSession(bytes, {
      device: "cpu",
      externalFolder: folder,
      externalBuffers: new Map(),
    });
    let worst = 0;
    for (const make of cases) {
      const { inputs, expected } = await make();
      const [output] = (await session.run(inputs)).values();
      // Of a Gaussian's moments the mean is compared; the log variance comes out of the same convolution.
      const compared = (output as Tensor).slice([undefined, { stop: expected.shape[1] as number }]);
      worst = Math.max(worst, relativeDifference(compared, expected));
    }
    await session.release();
    return worst;
  } finally {
    await host.close();
  }
}

/**
 * Writes `<name>.onnx` into a folder (the name may have a folder of its own, which is there), with `<name>.onnx_data` where the weights are large, and compares it with the model.
 *
 * @throws EngineError when the written file doesn't reproduce the model
 */
export async function writeVerifiedOnnx(
  { name, program, weights, metadata, cases }: VerifiedPart,
  folder: string,
  options: Pick<ExportOptions, "dtype" | "maxInlineBytes"> & {
    readonly onProgress?: ((stage: ExportProgress["stage"], fraction: number) => void) | undefined;
  } = {},
): Promise<Pick<ExportedPart, "files" | "difference">> {
  const { dtype = "float32", maxInlineBytes, onProgress } = options;
  const files = await writeOnnx(
    dtype === "float16" ? toHalfPrecision(program) : program,
    weights,
    join(folder, `${name}.onnx`),
    {
      metadata,
      maxInlineBytes,
      onProgress: ({ writtenBytes, totalBytes }) => onProgress?.("write", writtenBytes / totalBytes),
    },
  );
  onProgress?.("verify", 0);
  const place = dirname(name);
  const difference = await verify(cases, join(folder, place), `${basename(name)}.onnx`);
  if (!(difference <= TOLERANCE[dtype])) {
    throw new EngineError(`export of the ${name} differs from the model by ${difference} (relative)`);
  }
  onProgress?.("verify", 1);
  return { files: files.map((file) => (place === "." ? file : `${place}/${file}`)), difference };
}

/** Writes `export.json`, which says what the folder holds. */
export async function writeExportSummary(folder: string, summary: Readonly<Record<string, unknown>>): Promise<void> {
  const text = `${JSON.stringify({ ...summary, opset: ONNX_OPSET }, undefined, 2)}\n`;
  await writeFileAtomic(join(folder, "export.json"), (file) => file.write(new TextEncoder().encode(text)));
}

/** Files of an export, which `overwrite` removes. */
export const isExportFile = (name: string): boolean =>
  /\.onnx(_data)?$|^export\.json$|^vae_(encoder|decoder)$/.test(name);

function casesOf(model: Model, part: ModelPartName, names: ProgramNames): VerifiedPart["cases"] {
  return VERIFIED_SIZES.map((size) => async () => {
    const x = testInput(model, part, size);
    const inputs = new Map([[names.input, x]]);
    return { inputs, expected: await expectedOutput(model, part, x) };
  });
}

/**
 * Writes `encoder.onnx` (input `x`, output `latent` or `moments`), `decoder.onnx` (input `latent`, output `picture`) and
 * `export.json` into `directory`; large weights go to `<part>.onnx_data` beside the model. In the layout "optimum" the files are
 * `vae_encoder/model.onnx` (`sample` to `latent_sample`, or `latent_parameters` of a Gaussian), `vae_decoder/model.onnx`
 * (`latent_sample` to `sample`), and a `config.json` as diffusers has it in each folder.
 *
 * @throws EngineError when a written file doesn't reproduce the model, DataError when the folder can't be written
 */
export async function exportOnnx(
  model: Model,
  directory: string,
  options: ExportOptions = {},
): Promise<ExportedPart[]> {
  checkOptions("export", options, EXPORT_OPTIONS);
  const {
    parts = MODEL_PARTS.filter((part) => hasPart(model.description, part)),
    layout = "plain",
    dtype = "float32",
    onProgress,
  } = options;
  if (!EXPORT_LAYOUTS.includes(layout)) {
    throw new ConfigError(`layout: "${String(layout)}" is unknown`, { hint: `Use ${EXPORT_LAYOUTS.join(" or ")}.` });
  }
  const description = model.description as ModelDescription;
  const config = layout === "optimum" ? toModelConfigFile(description, "diffusers") : undefined;
  return writeDirectoryAtomic(
    directory,
    async (folder) => {
      await mkdir(folder, { recursive: true });
      const exported: ExportedPart[] = [];
      for (const part of parts) {
        const names = partNames(model, part, layout);
        if (config !== undefined) {
          const text = `${JSON.stringify(config, undefined, 2)}\n`;
          await mkdir(join(folder, dirname(names.file)));
          await writeFileAtomic(join(folder, dirname(names.file), "config.json"), (file) =>
            file.write(new TextEncoder().encode(text)),
          );
        }
        const { files, difference } = await writeVerifiedOnnx(
          {
            name: names.file,
            program: dynamicProgram(model, part, names),
            weights: model.weights,
            metadata: metadataOf(model, part),
            cases: casesOf(model, part, names),
          },
          folder,
          {
            dtype,
            maxInlineBytes: options.maxInlineBytes,
            onProgress: (stage, fraction) => onProgress?.({ part, stage, fraction }),
          },
        );
        exported.push({ part, files, difference });
      }
      await writeExportSummary(folder, { ...metadataOf(model), dtype, parts: exported });
      return exported;
    },
    { overwrite: options.overwrite, isOldContent: isExportFile },
  );
}

function metadataOf(model: Model, part?: ModelPartName): Record<string, string> {
  return {
    model: model.name,
    kind: model.kind,
    ...(part === undefined ? {} : { part }),
    compression: String(model.compression),
    latent_channels: String(model.latentChannels),
    ...(model.scalingFactor === null ? {} : { scaling_factor: String(model.scalingFactor) }),
  };
}

// ONNX files on disk: the model, and beside it one file of external data when the weights are large.
//
// The data file is streamed tensor by tensor, so that its size is bounded by the disk and not by memory.

/** Browsers load one file more easily than two; ONNX files can't exceed 2 GB, and loaders hold them in memory whole. */
const DEFAULT_MAX_INLINE_BYTES = 256 * 2 ** 20;
/** Tensors that stay in the model beside external data: constant folding looks at them. */
const SMALL_TENSOR_BYTES = 1024;
/** Runtimes map external data by pages. */
const ALIGNMENT = 4096;

interface WriteOnnxOptions {
  /** Shown by model viewers. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Weights up to this size are stored in the model file (default 256 MiB). */
  readonly maxInlineBytes?: number | undefined;
  readonly onProgress?:
    | ((progress: { readonly writtenBytes: number; readonly totalBytes: number }) => void)
    | undefined;
}

const bytesOf = (spec: ParameterSpec) => sizeOf(spec.shape) * byteSize(spec.dtype);

/**
 * Writes `program` to `path` with its weights in it, or in `path` + "_data" when they are larger than `maxInlineBytes`.
 *
 * @returns the names of the files written, the model last
 * @throws CheckpointError when a weight is missing, DataError when a file can't be written
 */
export async function writeOnnx(
  program: Program,
  weights: Weights,
  path: string,
  options: WriteOnnxOptions = {},
): Promise<string[]> {
  const specs = [...program.parameters.values()];
  const totalBytes = specs.reduce((sum, spec) => sum + bytesOf(spec), 0);
  const external = totalBytes > (options.maxInlineBytes ?? DEFAULT_MAX_INLINE_BYTES);
  const dataPath = `${path}_data`;
  const bindings = new Map<string, ParameterBinding>();
  let writtenBytes = 0;

  async function read(spec: ParameterSpec): Promise<Tensor> {
    const entry = weights.entries.get(spec.name);
    if (entry === undefined) throw new CheckpointError(`${weights.source}: there is no tensor "${spec.name}"`);
    const tensor = (await entry.read()).cast(spec.dtype);
    writtenBytes += tensor.byteLength;
    options.onProgress?.({ writtenBytes, totalBytes });
    return tensor;
  }

  const outside = external ? specs.filter((spec) => bytesOf(spec) > SMALL_TENSOR_BYTES) : [];
  if (external) {
    await writeFileAtomic(dataPath, async (file) => {
      for (const spec of outside) {
        await file.write(new Uint8Array((ALIGNMENT - (file.position % ALIGNMENT)) % ALIGNMENT));
        const place: ExternalData = { location: basename(dataPath), offset: file.position, byteLength: bytesOf(spec) };
        bindings.set(spec.name, place);
        await file.write((await read(spec)).bytes);
      }
    });
  }
  for (const spec of specs) if (!bindings.has(spec.name)) bindings.set(spec.name, await read(spec));
  // Every parameter was bound just above.
  const lowered = lowerProgram(program, (spec) => bindings.get(spec.name) ?? "input");
  const bytes = encodeModel({ ...lowered, metadata: options.metadata ?? {} });
  await writeFileAtomic(path, (file) => file.write(bytes));
  return external ? [basename(dataPath), basename(path)] : [basename(path)];
}
