/**
 * Samplers by name, for a denoiser of a given recipe. What a model was trained for decides which ones fit.
 */
import { ConfigError } from "@dcae/core";
import type { Recipe } from "../denoisers/denoiser-config.js";
import { ddim, ddpm } from "../samplers/ddpm.js";
import { dopri5 } from "../samplers/dopri5.js";
import { dpmSolver } from "../samplers/dpm-solver.js";
import { euler, heun, midpoint, rk4, sde } from "../samplers/flow.js";
import type { Sampler } from "../samplers/sampler.js";
import { dpmSolverSinglestep, sanaSampler, uniPc } from "../samplers/sigma-samplers.js";
import { uniSampler, uniSde } from "../samplers/uni-sampler.js";

interface Choice {
  readonly trainedBy: Recipe["trainScheduler"];
  /** Whether it uses the channels of a learned variance. */
  readonly variance?: boolean;
  /** Numbers of steps that it can take. */
  readonly steps?: readonly [min: number, max: number];
  /** Undefined steps: the sampler's default. */
  readonly make: (steps: number | undefined) => Sampler;
}

/** Gaussian diffusion has a thousand times, of which samplers keep some. */
const OF_A_THOUSAND = [1, 1000] as const;
/** Their spacing keeps time 0 first, so that one step alone would start at the end. */
const SEVERAL_OF_A_THOUSAND = [2, 1000] as const;
const points = (steps: number | undefined) => (steps === undefined ? {} : { points: steps + 1 });
const counted = (steps: number | undefined) => (steps === undefined ? {} : { steps });

/**
 * A row for each sampler, in the order in which they are offered: the first of an objective is the usual one for models of it.
 */
const choices = {
  "dpm-solver++": {
    trainedBy: "DPM_Solver",
    steps: [3, Number.POSITIVE_INFINITY],
    make: (steps) => dpmSolver(counted(steps)),
  },
  ddpm: {
    trainedBy: "GaussianDiffusion",
    variance: true,
    steps: SEVERAL_OF_A_THOUSAND,
    make: (steps) => ddpm(counted(steps)),
  },
  ddim: {
    trainedBy: "GaussianDiffusion",
    variance: true,
    steps: SEVERAL_OF_A_THOUSAND,
    make: (steps) => ddim(counted(steps)),
  },
  unipc: { trainedBy: "GaussianDiffusion", steps: OF_A_THOUSAND, make: (steps) => uniPc(counted(steps)) },
  "dpm-solver-singlestep": {
    trainedBy: "GaussianDiffusion",
    steps: OF_A_THOUSAND,
    make: (steps) => dpmSolverSinglestep(counted(steps)),
  },
  dopri5: { trainedBy: "SiTSampler", make: adaptive },
  euler: { trainedBy: "SiTSampler", make: (steps) => euler(points(steps)) },
  heun: { trainedBy: "SiTSampler", make: (steps) => heun(points(steps)) },
  midpoint: { trainedBy: "SiTSampler", make: (steps) => midpoint(points(steps)) },
  rk4: { trainedBy: "SiTSampler", make: (steps) => rk4(points(steps)) },
  sde: { trainedBy: "SiTSampler", make: (steps) => sde(points(steps)) },
  sana: { trainedBy: "SanaScheduler", make: (steps) => sanaSampler(counted(steps)) },
  uni: { trainedBy: "UniTrainScheduler", make: (steps) => uniSampler(counted(steps)) },
  "uni-sde": { trainedBy: "UniTrainScheduler", make: (steps) => uniSde(counted(steps)) },
} as const satisfies Readonly<Record<string, Choice>>;

/** One of `SAMPLERS`. */
export type SamplerName = keyof typeof choices;
/** The names of all samplers. */
export const SAMPLERS = Object.keys(choices) as readonly SamplerName[];
const choiceOf = (name: SamplerName): Choice => choices[name];

function adaptive(steps: number | undefined): Sampler {
  if (steps !== undefined) {
    throw new ConfigError("steps has no effect on dopri5, which chooses its own", {
      hint: "Leave it out, or choose another sampler, as heun.",
    });
  }
  return dopri5();
}

/** The name of the sampler that a recipe was published with. */
function publishedSampler({ evalScheduler, trainScheduler }: Recipe): SamplerName {
  const byScheduler: Readonly<Record<Recipe["evalScheduler"], SamplerName>> = {
    DPM_Solver: "dpm-solver++",
    GaussianDiffusion: "ddpm",
    ODE_dopri5: "dopri5",
    ODE_euler: "euler",
    ODE_heun2: "heun",
    ODE_midpoint: "midpoint",
    ODE_rk4: "rk4",
    SDE: "sde",
    UniPC: "unipc",
    DPMSolverSinglestep: "dpm-solver-singlestep",
    SanaScheduler: "sana",
    UniSampler: "uni",
  };
  const name = byScheduler[evalScheduler];
  // Some configurations name a sampler of another objective, which was never used with them.
  if (choices[name].trainedBy === trainScheduler) return name;
  const usual = SAMPLERS.find((candidate) => choices[candidate].trainedBy === trainScheduler);
  if (usual === undefined) throw new ConfigError(`there is no sampler by name for models trained by ${trainScheduler}`);
  return usual;
}

export interface ChosenSampler {
  readonly name: SamplerName;
  readonly sample: Sampler;
  /** Whether the model must give it the channels of a learned variance. */
  readonly variance: boolean;
}

/**
 * A sampler for models of a recipe.
 *
 * @param steps model evaluations of dpm-solver++, kept steps of ddpm and ddim, steps of the others
 * @throws ConfigError when the sampler doesn't fit the recipe, or can't take so many steps
 */
export function chooseSampler(recipe: Recipe, name: SamplerName | undefined, steps: number | undefined): ChosenSampler {
  const chosen = name ?? publishedSampler(recipe);
  const choice = Object.hasOwn(choices, chosen) ? choiceOf(chosen) : undefined;
  const fitting = SAMPLERS.filter((candidate) => choices[candidate].trainedBy === recipe.trainScheduler);
  if (choice === undefined) {
    throw new ConfigError(`unknown sampler "${String(chosen)}"`, { hint: `Known: ${SAMPLERS.join(", ")}.` });
  }
  if (choice.trainedBy !== recipe.trainScheduler) {
    throw new ConfigError(`sampler ${chosen} doesn't fit a model trained by ${recipe.trainScheduler}`, {
      hint: `Use ${fitting.join(", ")}.`,
    });
  }
  const [min, max] = choice.steps ?? [1, Number.POSITIVE_INFINITY];
  if (steps !== undefined && !(Number.isInteger(steps) && steps >= min && steps <= max)) {
    const range = max === Number.POSITIVE_INFINITY ? `${min} or more` : `${min} to ${max}`;
    throw new ConfigError(`sampler ${chosen} takes ${range} steps, got ${steps}`);
  }
  return { name: chosen, sample: choice.make(steps), variance: choice.variance ?? false };
}
