/**
 * From what is wrong with a configuration to one ConfigError that names each field as its source calls it.
 */
import type { z } from "zod";
import type { ActName } from "../blocks/block-spec.js";
import { ConfigError } from "../errors.js";

/** Translates the path of a field (`encoder.widthList[2]`) into the names of the source being read. */
export type FieldNamer = (path: string) => string;

/** One thing that is wrong: the field's path (as in code), and a phrase that goes on with "is ..." or "has ...". */
export interface ConfigIssue {
  readonly path: string;
  readonly problem: string;
}

const MAX_REPORTED = 8;

/**
 * One ConfigError for all issues, the first few in full.
 *
 * @param subject what was being read, for the start of the message
 */
export function throwConfigIssues(subject: string, issues: readonly ConfigIssue[], nameOf: FieldNamer): never {
  const lines = issues
    .slice(0, MAX_REPORTED)
    .map(({ path, problem }) => (path === "" ? problem : `${nameOf(path)} ${problem}`));
  const more = issues.length > MAX_REPORTED ? `; and ${issues.length - MAX_REPORTED} more` : "";
  throw new ConfigError(`${subject}: ${lines.join("; ")}${more}`);
}

/** The issues of a failed zod parse of `input`. Messages of the schema are phrases such as "must be a positive integer". */
export function zodIssues(error: z.ZodError, input: unknown): ConfigIssue[] {
  return error.issues.flatMap((issue) => {
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({ path: formatPath([...issue.path, key]), problem: "isn't a known option" }));
    }
    const value = issue.path.reduce<unknown>(
      (at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key],
      input,
    );
    const isObject = issue.code === "invalid_type" && issue.expected === "object";
    const expectation = isObject ? "must be an object" : issue.message;
    return [{ path: formatPath(issue.path), problem: `is ${quote(value)} but ${expectation}` }];
  });
}

/**
 * What a schema makes of `input`.
 *
 * @param nameOf names fields as the source does; default: as the schema does
 * @throws ConfigError naming each wrong field, its value and what is allowed
 */
export function parseBySchema<T>(
  schema: z.ZodType<T>,
  input: unknown,
  source: string,
  nameOf: FieldNamer = (path) => path,
): T {
  const result = schema.safeParse(input);
  if (!result.success) throwConfigIssues(source, zodIssues(result.error, input), nameOf);
  return result.data;
}

function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    const name = /^\w{1,80}$/.test(String(key)) ? String(key) : quote(String(key));
    return text === "" ? name : `${text}.${name}`;
  }, "");
}

/** A value for a message: JSON where possible, cut to a readable length. */
export function quote(value: unknown): string {
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Diffusers' "gelu" is the exact form. */
const actNames: Readonly<Record<string, ActName>> = {
  silu: "silu",
  swish: "silu",
  mish: "mish",
  gelu: "gelu_erf",
  relu: "relu",
};

/**
 * The activation that a diffusers name stands for.
 *
 * @throws ConfigError when diffusers has no such activation
 */
export function parseDiffusersAct(name: string, field: string, source: string): ActName {
  const lowered = name.toLowerCase();
  const act = Object.hasOwn(actNames, lowered) ? actNames[lowered] : undefined;
  if (act !== undefined) return act;
  throw new ConfigError(
    `${source}: ${field} is ${quote(name)} but must be one of ${Object.keys(actNames).join(", ")} (see diffusers' activations)`,
  );
}

/** The name in diffusers of an activation, or undefined when it has none. */
export function diffusersActName(act: ActName | null): string | undefined {
  return Object.keys(actNames).find((name) => actNames[name] === act);
}

/**
 * The keys that describe the model: those without a leading underscore.
 *
 * @throws ConfigError when it isn't an object, or was written for another class
 */
export function modelKeys(json: unknown, className: string, source: string): Record<string, unknown> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new ConfigError(`${source}: is ${quote(json)} but must be an object`);
  }
  const record = json as Record<string, unknown>;
  const found = record._class_name;
  if (found !== undefined && found !== className) {
    throw new ConfigError(`${source}: _class_name is ${quote(found)} but must be "${className}"`);
  }
  return Object.fromEntries(Object.entries(record).filter(([key]) => !key.startsWith("_")));
}
