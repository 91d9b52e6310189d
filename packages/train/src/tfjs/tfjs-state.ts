/** Engine state as tfjs tensors. */
import { type DType, EngineError, type Tensor } from "@dcae/core/graph";
import type { EngineState } from "@dcae/core/runtime";
import { download, type Tf, type TfTensor, upload } from "./kernel.js";

export interface TfjsState extends EngineState {
  /** The tensor held under that name. */
  tensor(name: string): TfTensor | undefined;
  /** Takes (copies of) new values for names that are held. */
  replace(updates: readonly (readonly [name: string, tensor: TfTensor])[]): void;
  /** @throws EngineError when the state was disposed */
  check(): void;
}

export function createTfjsState(tf: Tf, engine: string): TfjsState {
  const specs = new Map<string, { readonly shape: readonly number[]; readonly dtype: DType }>();
  const tensors = new Map<string, TfTensor>();
  let disposed = false;

  function check(): void {
    if (disposed) throw new EngineError(`${engine}: the state was disposed`);
  }

  function put(name: string, tensor: TfTensor): void {
    tensors.get(name)?.dispose();
    tensors.set(name, tf.keep(tensor));
  }

  async function readAll(names: Iterable<string> = specs.keys()): Promise<Map<string, Tensor>> {
    check();
    const result = new Map<string, Tensor>();
    for (const name of names) {
      const spec = specs.get(name);
      if (spec === undefined) throw new EngineError(`${engine}: the state holds no "${name}"`);
      result.set(name, await download(tensors.get(name) as TfTensor, spec.dtype));
    }
    return result;
  }

  return {
    specs,
    check,
    tensor: (name) => tensors.get(name),
    replace(updates) {
      // All copies first: an update may be another name's old tensor.
      const copies = updates.map(([name, tensor]) => [name, tf.clone(tensor)] as const);
      for (const [name, copy] of copies) put(name, copy);
    },
    async write(given) {
      check();
      for (const [name, tensor] of Object.entries(given)) {
        const known = specs.get(name);
        if (known !== undefined && known.shape.join() !== tensor.shape.join()) {
          throw new EngineError(
            `${engine}: the state holds "${name}" as [${known.shape.join(", ")}], got [${tensor.shape.join(", ")}]`,
          );
        }
        const dtype = known?.dtype ?? tensor.dtype;
        put(name, upload(tf, tensor.cast(dtype)));
        specs.set(name, { shape: tensor.shape, dtype });
      }
    },
    async read(name) {
      return (await readAll([name])).get(name) as Tensor;
    },
    readAll,
    async dispose() {
      disposed = true;
      for (const tensor of tensors.values()) tensor.dispose();
      tensors.clear();
    },
  };
}
