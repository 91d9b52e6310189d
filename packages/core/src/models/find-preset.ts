/**
 * Presets by name: plain, as a hub repository (`mit-han-lab/...`), or as the repository of the diffusers form (`...-diffusers`).
 */
import { ConfigError } from "../errors.js";
import { quote } from "./config-issues.js";
import { familyOf, PRESETS, type Preset } from "./families.js";
import type { CheckpointFormat } from "./family.js";

/** Owners of the published repositories. The same name under another owner may be any model, so it isn't a preset. */
const OWNERS: ReadonlySet<string> = new Set(["mit-han-lab", "dc-ai", "stabilityai"]);

/**
 * DC-AE 1.1 and 1.5 were also published as retrained variants for fewer latent channels, under these suffixes. The
 * architecture is the base model's, with all 128 channels.
 */
const CHANNEL_VARIANT = /^(dc-ae-f32c128-1\.[15])-c(16|32|48|64|80|96|112)$/;

/** The preset of that name, or undefined. Case doesn't matter. */
export function findPreset(name: string): Preset | undefined {
  const parts = name.toLowerCase().split("/");
  const plain = parts.at(-1)?.replace(/-diffusers$/, "");
  if (plain === undefined || parts.length > 2 || (parts.length === 2 && !OWNERS.has(parts[0] ?? ""))) return undefined;

  const preset = PRESETS.find((candidate) => candidate.name === plain || candidate.aliases.includes(plain));
  if (preset !== undefined) return preset;

  const base = CHANNEL_VARIANT.exec(plain)?.[1];
  const basePreset = base === undefined ? undefined : PRESETS.find((candidate) => candidate.name === base);
  if (basePreset === undefined) return undefined;
  return { ...basePreset, name: plain, hubId: `dc-ai/${plain}`, scalingFactor: null };
}

/**
 * The preset of that name.
 *
 * @throws ConfigError that lists the names
 */
export function getPreset(name: string): Preset {
  const preset = findPreset(name);
  if (preset !== undefined) return preset;
  const names = PRESETS.map((candidate) => candidate.name);
  const guess = closestName(name.split("/").at(-1) ?? "", [...names, ...PRESETS.flatMap(({ aliases }) => aliases)]);
  throw new ConfigError(
    `unknown preset ${quote(name)}${guess === undefined ? "" : `; did you mean ${quote(guess)}?`}`,
    {
      hint: `Known presets: ${names.join(", ")}.`,
    },
  );
}

/**
 * The hub repository of a preset in a layout, by default the usual one of its family.
 *
 * @throws ConfigError when none is known
 */
export function presetHubId(preset: Preset, format?: CheckpointFormat): string {
  const { layouts } = familyOf(preset);
  const [usual] = Object.keys(layouts) as [CheckpointFormat];
  const layout = layouts[format ?? usual];
  if (preset.hubId === null || layout === undefined) {
    throw new ConfigError(`no hub repository in the ${format ?? usual} format is known for ${preset.name}`, {
      hint: preset.hubId === null ? "Pass a local folder." : `Use the ${usual} format.`,
    });
  }
  return `${preset.hubId}${layout.hubSuffix}`;
}

/**
 * The nearest of `names` by edit distance (ignoring case), or undefined when none is close.
 * Close means that at most a third of the longer name differs.
 */
function closestName(name: string, names: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  // A text of any length may come in here; what is far longer than every name is close to none.
  const wanted = name.toLowerCase().slice(0, 200);
  for (const candidate of names) {
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance < bestDistance && 3 * distance <= Math.max(wanted.length, candidate.length)) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
