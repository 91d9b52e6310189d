/**
 * Names that become parts of URLs and of cache paths: model ids, revisions and folders inside of a repository.
 */
import { ConfigError } from "../../errors.js";

export const DEFAULT_REVISION = "main";
export const DEFAULT_HUB_URL = "https://huggingface.co";

/** `organization/name`, or the old form `name`. */
export function isModelId(text: string): boolean {
  const part = "[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?";
  return new RegExp(`^(?:${part}/)?${part}$`).test(text) && !/--|\.\./.test(text);
}

/** Whether a revision is the hash of a commit, which can't change. */
export function isCommitHash(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** @throws ConfigError unless `revision` is a plausible branch, tag, pull request reference or commit */
export function checkRevision(revision: string): string {
  if (!isRelativePath(revision)) {
    throw new ConfigError(`revision ${JSON.stringify(revision)} isn't a branch, tag or commit`);
  }
  return revision;
}

/** @throws ConfigError unless `folder` is a relative path without `..` */
export function checkSubfolder(folder: string): string {
  if (!isRelativePath(folder)) {
    throw new ConfigError(`subfolder ${JSON.stringify(folder)} isn't a path inside of the repository`);
  }
  return folder;
}

/** Letters, digits and `._-+@` in parts that aren't only dots, joined by slashes. */
function isRelativePath(path: string): boolean {
  return path.length <= 255 && path.split("/").every((part) => /^[\w.+@-]+$/.test(part) && !/^\.+$/.test(part));
}

/**
 * An access token as it is sent: without the line break that files and variables often end with. What tokens look like is the hub's
 * affair. Nothing for an empty one.
 *
 * @throws ConfigError for what can't stand in a header; the message doesn't show it
 */
export function checkToken(token: string | undefined): string | undefined {
  const sent = token?.trim();
  if (sent === undefined || sent === "") return undefined;
  if (!/^[\x21-\x7e]+$/.test(sent)) {
    throw new ConfigError("the hub's access token has spaces or characters that can't be sent", {
      hint: "Check the option token or HF_TOKEN.",
    });
  }
  return sent;
}

/** The base URL of a hub without a trailing slash. */
export function checkHubUrl(url: string): string {
  if (!/^https?:\/\/[^\s]+$/.test(url)) throw new ConfigError(`hub URL ${JSON.stringify(url)} isn't an http(s) URL`);
  return url.replace(/\/+$/, "");
}
