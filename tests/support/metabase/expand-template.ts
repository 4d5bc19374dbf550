// Makes SQL of a query with variables by Metabase's rules, and binds values as its JDBC driver does: typed, one per occurrence.

export type TagType = 'text' | 'date' | 'number' | 'boolean';
export type TagValue = string | number | boolean | readonly (string | number)[];
export type TemplateTag = { readonly name: string; readonly type: TagType; readonly default?: TagValue | null };

type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tag'; readonly name: string }
  | { readonly kind: 'optional'; readonly parts: readonly Part[] };

export type ExpandedQuery = { readonly sql: string; readonly values: readonly string[] };

/** What Metabase answers instead of rows. */
export class TemplateError extends Error {}

/** Quotes are nothing special to Metabase; comments hide variables, except inside an optional part, where it does not see comments. */
function parseParts(sql: string): Part[] {
  const stack: { parts: Part[] }[] = [{ parts: [] }];
  const token = /\/\*[\s\S]*?\*\/|--[^\n]*|\[\[|\]\]|\{\{\{*|\}\}/g;
  let at = 0;
  const add = (part: Part): void => void stack.at(-1)!.parts.push(part);
  const addText = (end: number): void => {
    if (end > at) add({ kind: 'text', text: sql.slice(at, end) });
  };
  for (let match = token.exec(sql); match !== null; match = token.exec(sql)) {
    const [text] = match;
    const isComment = text.startsWith('--') || text.startsWith('/*');
    if (isComment && stack.length > 1) {
      // Go on right behind the sign of the comment: what follows is read as anything else.
      token.lastIndex = match.index + 2;
      continue;
    }
    if (isComment || (text === ']]' && stack.length === 1) || text === '}}') continue;
    if (text.startsWith('{{')) {
      const start = match.index + text.length;
      const end = sql.indexOf('}}', start);
      if (end === -1) throw new TemplateError('Invalid query: found "{{" with no terminating "}}"');
      const name = sql.slice(start, end).trim();
      if (name === '') throw new TemplateError('Invalid query: a variable has no name');
      // Of three braces the last two open the variable.
      addText(start - 2);
      add({ kind: 'tag', name });
      at = end + 2;
    } else if (text === '[[') {
      addText(match.index);
      at = match.index + 2;
      stack.push({ parts: [] });
    } else {
      addText(match.index);
      at = match.index + 2;
      const { parts } = stack.pop()!;
      if (!parts.some(({ kind }) => kind === 'tag'))
        throw new TemplateError('Invalid query: an optional clause has no variable');
      add({ kind: 'optional', parts });
    }
    token.lastIndex = at;
  }
  if (stack.length > 1) throw new TemplateError('Invalid query: found "[[" with no terminating "]]"');
  addText(sql.length);
  return stack[0]!.parts;
}

/** @throws TemplateError as Metabase would: for a variable without value outside of an optional part, or one that is not declared. */
export function expandTemplate(
  sql: string,
  tags: readonly TemplateTag[],
  given: Readonly<Record<string, TagValue | undefined>>,
): ExpandedQuery {
  const values: string[] = [];
  const missing: string[] = [];
  const tagOf = (name: string): TemplateTag => {
    const tag = tags.find((one) => one.name === name);
    if (tag === undefined) throw new TemplateError(`The query uses {{${name}}}, which is not among its template tags`);
    return tag;
  };
  const givenTo = (tag: TemplateTag): TagValue | undefined => given[tag.name] ?? tag.default ?? undefined;
  const bind = (type: TagType, value: string | number | boolean): string => {
    if (type === 'number' || type === 'boolean') return String(value);
    values.push(String(value));
    return `$${values.length}::${type === 'date' ? 'date' : 'varchar'}`;
  };
  const render = (parts: readonly Part[]): string =>
    parts
      .map((part) => {
        if (part.kind === 'text') return part.text;
        if (part.kind === 'optional') {
          const isGiven = part.parts.every((one) => one.kind !== 'tag' || givenTo(tagOf(one.name)) !== undefined);
          return isGiven ? render(part.parts) : '';
        }
        const tag = tagOf(part.name);
        const value = givenTo(tag);
        if (value === undefined) {
          missing.push(tag.name);
          return '';
        }
        const list: readonly (string | number | boolean)[] = Array.isArray(value) ? value : [value];
        return list.map((one) => bind(tag.type, one)).join(', ');
      })
      .join('');
  const text = render(parseParts(sql)).trim();
  if (missing.length > 0)
    throw new TemplateError(`Cannot run the query: missing required parameters: ${missing.join(', ')}`);
  return { sql: text, values };
}
