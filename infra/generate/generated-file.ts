// What a generator gives back, and how a generated part is put between the markers of a page written by hand.

/** A file that is generated as a whole or in part; `path` is relative to the repository root. */
export type GeneratedFile = { readonly path: string; readonly text: string };

const endMarker = '<!-- end generated -->';

/** The page with `body` between `<!-- generated: NAME -->` and the next end marker. @throws when the page has no such pair. */
export function replaceGeneratedPart(page: string, name: string, body: string): string {
  const startMarker = `<!-- generated: ${name} -->`;
  const start = page.indexOf(startMarker);
  const end = start === -1 ? -1 : page.indexOf(endMarker, start);
  if (end === -1) throw new Error(`the page has no "${startMarker}" followed by "${endMarker}"`);
  return `${page.slice(0, start + startMarker.length)}\n${body.trim()}\n${page.slice(end)}`;
}

/** A Markdown table; pipes inside cells are escaped. */
export function toMarkdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  return [line(header), `|${header.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}
