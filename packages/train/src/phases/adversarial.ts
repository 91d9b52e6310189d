/**
 * Phase 3: reconstruction and adversarial loss (training.md section 4).
 *
 * One update of the generator, then one of the discriminator on the reconstructions of the updated generator. That second
 * forward pass is the first one with the new weights put in (`substitute`), so frozen parts are shared, and running
 * statistics of trained batch norms move twice. The discriminator runs three times: on y for the generator, on x, on the new
 * y; each pass starts from the running statistics that the one before it left.
 */
import {
  add,
  ConfigError,
  cast,
  createScope,
  input,
  mapGraph,
  meanOverRanks,
  mul,
  type RootScope,
  scalar,
  type Value,
} from "@dcae/core/graph";
import { backpropagate, gradients } from "../autodiff/gradients.js";
import { recomputation } from "../autodiff/recomputation.js";
import { forwardForm, gradientForms } from "../step/optimize-forward.js";
import { overlayScope, type TrainingRule, trainedWeights, trainingScope } from "../step/training-rule.js";
import {
  type GradientStep,
  type GradientStepOptions,
  meansOverRanks,
  type OptimizerOptions,
  optimizerCounter,
  optimizerStep,
  type StateUpdate,
} from "../step/training-step.js";
import { type Augmentation, type AugmentedPass, augment, augmentDraws } from "./diff-augment.js";
import {
  adaptiveWeight,
  type DiscriminatorLoss,
  discriminatorLoss,
  ganGate,
  generatorLoss,
  type PatchGanOptions,
  patchGan,
} from "./gan.js";
import { type ReconstructionLoss, type ReconstructionLossOptions, reconstructionLoss } from "./reconstruction.js";

/** Where the parameters of the discriminator are. */
export const DISCRIMINATOR_SCOPE = "discriminator";

/** Options of the third phase: the reconstruction's losses, and those of the discriminator. */
export interface AdversarialOptions extends ReconstructionLossOptions {
  /** What of the autoencoder trains. */
  readonly trains: TrainingRule;
  /** Name of the weight that the adaptive weight looks at; null uses `weight` alone. It must train. */
  readonly lastLayer: string | null;
  /** `disc_weight`, default 0.5. */
  readonly weight?: number;
  /** Update (from 0) at which the adversarial losses set in, default 0. Updates of both networks count. */
  readonly start?: number;
  /** `disc_factor`: scales both adversarial losses from `start` on, beside the weight; default 1. */
  readonly factor?: number;
  /** Default "hinge". */
  readonly loss?: DiscriminatorLoss;
  readonly discriminator?: PatchGanOptions;
  /** What is done to pictures before the discriminator sees them, in this order; the graph then has the input "augment". Default: nothing. */
  readonly augment?: readonly Augmentation[] | undefined;
  readonly generatorOptimizer: OptimizerOptions;
  readonly discriminatorOptimizer: OptimizerOptions;
  /** Keep few activations of the autoencoder and compute the others again (default false). */
  readonly recompute?: boolean;
  /** The autoencoder and the reconstruction loss in the forms that are faster on a CPU (see `GradientStepOptions`). */
  readonly optimize?: GradientStepOptions["optimize"];
  /** Ranks that share a batch (see `GradientStepOptions`). */
  readonly ranks?: number | undefined;
}

interface Graph {
  readonly root: RootScope;
  readonly x: Value;
  readonly y: Value;
  /** Draws of the augmentations, where there are some. */
  readonly draws: Value | undefined;
  /** Running statistics that the forward pass moved. */
  readonly buffers: ReadonlyMap<string, Value>;
}

/** The discriminator in training mode, its running statistics going to `updates`. */
function discriminate(
  { root, draws }: Pick<Graph, "root" | "draws">,
  image: Value,
  pass: AugmentedPass,
  updates: Map<string, Value>,
  options: AdversarialOptions,
): Value {
  const place = overlayScope(root, { training: () => true, updates }).at(DISCRIMINATOR_SCOPE);
  const seen = draws === undefined ? image : augment(image, options.augment ?? [], draws, pass);
  return patchGan(place, seen, options.discriminator);
}

const isDiscriminator: TrainingRule = (name) => name.startsWith(`${DISCRIMINATOR_SCOPE}.`);

function named(root: RootScope): Map<string, Value> {
  return new Map([...root.parameters.values()].map(({ name, shape }) => [name, root.parameter(name, shape)]));
}

function forward(options: AdversarialOptions): Graph {
  const root = createScope({ ranks: options.ranks });
  const updates = new Map<string, Value>();
  const x = input("x", options.images);
  const plain = options.reconstruct(trainingScope(root, options.trains, updates), x);
  const [y, ...moved] = forwardForm([plain, ...updates.values()], options.trains, options.optimize) as [
    Value,
    ...Value[],
  ];
  const draws = (options.augment ?? []).length === 0 ? undefined : augmentDraws(options.images[0]);
  return { root, x, y, draws, buffers: new Map([...updates.keys()].map((name, i) => [name, moved[i] as Value])) };
}

interface GeneratorStep extends GradientStep {
  /** What the pass through the discriminator did to its running statistics. */
  readonly discriminatorBuffers: ReadonlyMap<string, Value>;
  readonly gate: Value;
}

/** Which updates of a run an optimizer makes: those whose number from 0 is `turn` modulo `every`. */
interface Turns {
  readonly every: number;
  readonly turn: number;
}

const EVERY_UPDATE: Turns = { every: 1, turn: 0 };

/** The factor of the adversarial losses at the update that `counter` is the optimizer's count of. */
function gateOf(counter: Value, { every, turn }: Turns, { start = 0, factor = 1 }: AdversarialOptions): Value {
  if (start === 0) return scalar(factor);
  return ganGate(add(mul(cast(counter, "float32"), every), turn), start, factor);
}

/** The reconstruction loss on y, which stays the value that gradients are taken at. */
function reconstructionForm(root: RootScope, x: Value, y: Value, options: AdversarialOptions): ReconstructionLoss {
  const { l1, terms, total } = reconstructionLoss(overlayScope(root, { training: () => false }), x, y, options);
  const parts = [l1, total, ...Object.values(terms)];
  const [l1Form, totalForm, ...termForms] = forwardForm(parts, options.trains, options.optimize) as [
    Value,
    Value,
    ...Value[],
  ];
  const forms = Object.keys(terms).map((name, i) => [name, termForms[i] as Value] as const);
  return { l1: l1Form, terms: Object.fromEntries(forms), total: totalForm };
}

function generatorStep(graph: Graph, turns: Turns, options: AdversarialOptions): GeneratorStep {
  const { root, x, y, buffers } = graph;
  const { weight = 0.5, start = 0, factor = 1, lastLayer, ranks = 1 } = options;
  const discriminatorBuffers = new Map<string, Value>();
  const reconstruction = reconstructionForm(root, x, y, options);
  const adversarial = generatorLoss(discriminate(graph, y, "generator", discriminatorBuffers, options));
  const [dReconstruction, dAdversarial] = [reconstruction.total, adversarial].map(
    (loss) => gradients(loss, [y], gradientForms(options.optimize))[0] as Value,
  ) as [Value, Value];
  const weights = trainedWeights(root, (name) => options.trains(name) && !isDiscriminator(name));
  const counter = optimizerCounter(options.generatorOptimizer);
  const gate = gateOf(counter, turns, options);
  const last = weights.find(({ name }) => name === lastLayer)?.value;
  if (lastLayer !== null && last === undefined) throw missingLastLayer(lastLayer);
  // The gradient of the whole batch: that of the mean over all ranks' rows.
  const at = (gradient: Value) =>
    meanOverRanks(
      backpropagate([{ value: y, gradient }], [last as Value], gradientForms(options.optimize))[0] as Value,
      ranks,
    );
  const adaptive = last === undefined ? scalar(weight) : adaptiveWeight(at(dReconstruction), at(dAdversarial), weight);
  const lambda = start === 0 && factor === 1 ? adaptive : mul(adaptive, gate);
  // lambda is a constant of this update: it scales the gradient at y and isn't differentiated.
  const seed = { value: y, gradient: add(dReconstruction, mul(dAdversarial, lambda)) };
  return {
    weights,
    gradients: backpropagate(
      [seed],
      weights.map(({ value }) => value),
      { ...gradientForms(options.optimize), ...(options.recompute ? { replay: recomputation(y) } : {}) },
    ),
    buffers,
    discriminatorBuffers,
    counter,
    gate,
    ranks,
    metrics: {
      ...meansOverRanks(
        {
          loss: add(reconstruction.total, mul(adversarial, lambda)),
          l1: reconstruction.l1,
          ...reconstruction.terms,
          g_loss: adversarial,
        },
        ranks,
      ),
      lambda,
    },
  };
}

function missingLastLayer(name: string): Error {
  return new ConfigError(`adaptive weight: "${name}" isn't among the trained parameters`, {
    hint: "Train the decoder's output projection, or switch the adaptive weight off.",
  });
}

/** The discriminator's gradients on pictures x and reconstructions y of the graph. */
function discriminatorStep(
  graph: Omit<Graph, "buffers">,
  before: ReadonlyMap<string, Value>,
  gate: Value,
  options: AdversarialOptions,
): GradientStep {
  const { root, x, y } = graph;
  const { ranks = 1 } = options;
  const [afterReal, afterFake] = [new Map<string, Value>(), new Map<string, Value>()];
  const real = discriminate(graph, x, "real", afterReal, options);
  const fake = discriminate(graph, y, "fake", afterFake, options);
  const loss = mul(discriminatorLoss(options.loss ?? "hinge", real, fake), gate);
  const weights = trainedWeights(root, isDiscriminator);
  const parameters = named(root);
  return {
    weights,
    // y comes from an update along the discriminator's gradient: to differentiate through it would be another method.
    gradients: gradients(
      loss,
      weights.map(({ value }) => value),
      { constants: [y], ...gradientForms(options.optimize) },
    ),
    buffers: chainUpdates(chainUpdates(before, afterReal, parameters), afterFake, parameters),
    metrics: meansOverRanks({ d_loss: loss }, ranks),
    ranks,
  };
}

/** Both updates in one graph (`gan_schedule` "both"). The graph's input is `x`. */
export function adversarialStep(options: AdversarialOptions): StateUpdate {
  const graph = forward(options);
  const { root, y } = graph;
  const generator = generatorStep(graph, EVERY_UPDATE, options);
  const parameters = named(root);
  const updated = optimizerStep(generator, options.generatorOptimizer);
  // Forward again: what a new weight reaches is rebuilt, the running statistics start from their first update.
  const replaced = new Map(
    [...updated.updates].flatMap(([name, value]) => {
      const parameter = parameters.get(name);
      return parameter === undefined ? [] : [[parameter, value] as const];
    }),
  );
  const bufferNames = [...generator.buffers.keys()];
  const [again, ...buffersAgain] = substitute(
    [y, ...bufferNames.map((name) => generator.buffers.get(name) as Value)],
    replaced,
  ) as [Value, ...Value[]];
  const { discriminatorBuffers, gate } = generator;
  const discriminator = discriminatorStep({ ...graph, y: again }, discriminatorBuffers, gate, options);
  const d = optimizerStep(discriminator, options.discriminatorOptimizer);
  return {
    updates: new Map([
      ...updated.updates,
      ...bufferNames.map((name, i) => [name, buffersAgain[i] as Value] as const),
      ...d.updates,
    ]),
    metrics: { ...updated.metrics, ...discriminatorMetrics(d.metrics) },
  };
}

function discriminatorMetrics(metrics: Readonly<Record<string, Value>>): Record<string, Value> {
  const entries = Object.entries(metrics);
  return Object.fromEntries(entries.map(([key, value]) => [key.startsWith("d_") ? key : `d_${key}`, value]));
}

/**
 * The two updates on their own.
 *
 * Each counts with its own optimizer: the generator's has stepped already when the discriminator's turn comes.
 *
 * @param schedule "alternate": even updates are the generator's, odd ones the discriminator's; "both": each update is both, one after
 *   the other, as with accumulation
 */
export function adversarialGradients(
  options: AdversarialOptions,
  schedule: "both" | "alternate",
): { readonly generator: GradientStep; readonly discriminator: GradientStep } {
  const [turnsOfG, turnsOfD] =
    schedule === "both"
      ? [EVERY_UPDATE, EVERY_UPDATE]
      : [
          { every: 2, turn: 0 },
          { every: 2, turn: 1 },
        ];
  const first = forward(options);
  const generator = generatorStep(first, turnsOfG, options);
  const second = forward(options);
  const counter = optimizerCounter(options.discriminatorOptimizer);
  const gate = gateOf(counter, turnsOfD, options);
  const discriminator = discriminatorStep(second, new Map(), gate, options);
  return {
    generator: { ...generator, buffers: new Map([...generator.buffers, ...generator.discriminatorBuffers]) },
    discriminator: { ...discriminator, counter, buffers: new Map([...second.buffers, ...discriminator.buffers]) },
  };
}

/**
 * The same functions at other arguments: rebuilds what depends on replaced values and shares the rest, so that what an update can't
 * have changed (a frozen encoder) isn't computed twice.
 */
function substitute(values: readonly Value[], replacements: ReadonlyMap<Value, Value>): Value[] {
  return mapGraph(
    values,
    (_value, _inputs, keep) => keep(),
    (value) => replacements.get(value),
  );
}

/**
 * Updates of two passes over the same state, one after the other: the second reads what the first left.
 *
 * @param parameters the state's values in the graph, by name; must hold every name that `first` updates
 */
export function chainUpdates(
  first: ReadonlyMap<string, Value>,
  second: ReadonlyMap<string, Value>,
  parameters: ReadonlyMap<string, Value>,
): Map<string, Value> {
  const replacements = new Map<Value, Value>();
  for (const [name, value] of first) {
    const parameter = parameters.get(name);
    if (parameter === undefined) throw new ConfigError(`chainUpdates: the graph has no parameter "${name}"`);
    replacements.set(parameter, value);
  }
  const names = [...second.keys()];
  const values = substitute([...second.values()], replacements);
  return new Map([...first, ...names.map((name, i) => [name, values[i] as Value] as const)]);
}
