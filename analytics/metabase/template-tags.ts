// Finds the variables of a query, in Metabase's syntax: {{name}}, inside or outside of an optional [[part]].

/** Names in the order of their first use; comments do not count. */
export function listTags(sql: string): string[] {
  const withoutComments = sql.replaceAll(/--[^\n]*|\/\*[\s\S]*?\*\//g, '');
  return [...new Set([...withoutComments.matchAll(/\{\{\s*([^{}]+?)\s*\}\}/g)].map(([, name]) => name!))];
}
