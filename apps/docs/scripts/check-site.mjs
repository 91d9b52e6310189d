// What can be stale on the built site, and in the Markdown files that the repository shows beside it: links to pages, headings, pictures
// and files that aren't there.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** Every link of the built pages in `folder` that leads nowhere, as lines. External addresses aren't visited. */
export function brokenLinks(folder) {
  const files = readdirSync(folder, { recursive: true }).filter((file) => file.endsWith(".html"));
  const pages = new Map(files.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
  const anchors = new Map([...pages].map(([file, html]) => [file, new Set(html.match(/(?<=\sid=")[^"]+/g) ?? [])]));
  return [...pages].flatMap(([file, html]) =>
    addressesIn(html)
      .filter((address) => !isThere(file, address))
      .map((address) => `${file}: ${address}`),
  );

  function isThere(from, address) {
    const { pathname, hash } = new URL(address, `http://site/${from}`);
    const path = decodeURIComponent(pathname).slice(1);
    if (path !== "" && existsSync(join(folder, path)) && statSync(join(folder, path)).isFile()) {
      if (!path.endsWith(".html")) return true;
    }
    const page = [path, `${path}.html`, join(path, "index.html")].find((name) => pages.has(name));
    if (page === undefined) return false;
    return hash === "" || anchors.get(page)?.has(decodeURIComponent(hash.slice(1))) === true;
  }
}

function addressesIn(html) {
  const found = [...html.matchAll(/\s(?:href|src)="([^"]*)"/g)].map(([, address]) => address.replaceAll("&amp;", "&"));
  return [...new Set(found)].filter((address) => !/^[a-z]+:/.test(address));
}

/** Every link and picture of Markdown files that leads to no file, as lines. */
export function brokenFiles(root, files) {
  return files.flatMap((file) => {
    const text = readFileSync(join(root, file), "utf8").replace(/^```.*?^```/gms, "");
    const addresses = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, address]) => address);
    return addresses
      .filter((address) => !/^([a-z]+:|#)/.test(address))
      .filter((address) => !existsSync(join(root, dirname(file), address.replace(/#.*/, ""))))
      .map((address) => `${relative(root, join(root, file))}: ${address}`);
  });
}
