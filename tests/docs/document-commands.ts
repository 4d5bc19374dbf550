// Finds the commands in a Markdown document: fenced blocks for a shell with the output that the page promises, and commands in prose.

export type Block = {
  /** Line of the opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  /** What follows the language on the opening fence. */
  readonly words: readonly string[];
  readonly text: string;
};

export type ShellBlock = Block & {
  /** The block right after it, when that shows what it prints. */
  readonly output: Block | null;
};

const fencePattern = /^( *)(`{3,})([^`]*)$/;
const shellLanguage = 'sh';
const outputLanguages = ['text', 'json'];
/** Languages that nobody pastes into a shell. */
const otherLanguages = ['yaml', 'ts', 'tsx', 'html', 'python', 'sql', 'mermaid'];
export const knownLanguages: readonly string[] = [shellLanguage, ...outputLanguages, ...otherLanguages];

type PlacedBlock = Block & { readonly endLine: number };

/** Every fenced block in order. @throws when a fence is not closed. */
function listPlacedBlocks(page: string): PlacedBlock[] {
  const lines = page.split('\n');
  const blocks: PlacedBlock[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const opening = fencePattern.exec(lines[at]!);
    if (opening === null) continue;
    const [, indent, fence, info] = opening as unknown as [string, string, string, string];
    const end = lines.findIndex((line, index) => index > at && line.trim() === fence);
    if (end === -1) throw new Error(`line ${at + 1}: this fence is not closed`);
    const [language = '', ...words] = info.trim().split(/\s+/);
    const body = lines.slice(at + 1, end).map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line));
    blocks.push({ line: at + 1, endLine: end + 1, language, words, text: body.join('\n') });
    at = end;
  }
  return blocks;
}

export const listBlocks = (page: string): readonly Block[] => listPlacedBlocks(page);

/** The blocks for a shell, each with the output block that follows it without a word in between. */
export function listShellBlocks(page: string): ShellBlock[] {
  const lines = page.split('\n');
  const blocks = listPlacedBlocks(page);
  return blocks.flatMap((block, index) => {
    if (block.language !== shellLanguage) return [];
    const next = blocks[index + 1];
    const isNext =
      next !== undefined &&
      outputLanguages.includes(next.language) &&
      lines.slice(block.endLine, next.line - 1).every((line) => line.trim() === '');
    return [{ ...block, output: isNext ? next : null }];
  });
}

const programs = 'npm|npx|node|docker|curl|pip|python3?|psql|git|mvn';

/** The commands of a block that start programs, each from its name to the end of its line. */
export function listCommands(text: string): string[] {
  const pattern = new RegExp(`(?:^|[$<]\\(|[|&;] )(?:[A-Z_]+=\\S+ )*((?:${programs}) [^)]*)`);
  return text.split('\n').flatMap((line) => {
    const command = line.trimStart().startsWith('#') ? undefined : pattern.exec(line)?.[1];
    return command === undefined ? [] : [command.replace(/\s+#.*$/, '').trim()];
  });
}

const proseCommand = new RegExp(`^(?:${programs}|ops) `);
const codeSpan = /`([^`\n]+)`/g;

/** Commands in code spans outside of fenced blocks. */
export function listProseCommands(page: string): string[] {
  const lines = page.split('\n');
  for (const { line, endLine } of listPlacedBlocks(page)) lines.fill('', line - 1, endLine);
  return [...lines.join('\n').matchAll(codeSpan)].map(([, span]) => span!).filter((span) => proseCommand.test(span));
}

/**
 * What a command is about, without its arguments: `npm run -s ops -- dead-letters list --json` and `ops dead-letters list` are both
 * `ops dead-letters list`; `npm run -s x -- y` is `npm run x`; of a program it is the program and its file.
 */
export function subjectOf(command: string): string {
  const words = command
    .replace(/^npm run (?:-s |--silent )?ops -- |^node ops\/main\.ts /, 'ops ')
    .replace(/^npx node /, 'node ')
    .replace(/^npm run (?:-s |--silent )/, 'npm run ')
    .split(/\s+/);
  const length = words[0] === 'ops' || (words[0] === 'npm' && words[1] === 'run') ? 3 : 2;
  const plain = words.findIndex((word, index) => index > 0 && !/^[a-z][a-z0-9:./-]*$/.test(word));
  return words.slice(0, Math.min(length, plain === -1 ? words.length : plain)).join(' ');
}

/** Whether one of the commands is about this subject. */
export function isCovered(subject: string, commands: readonly string[]): boolean {
  return commands.some((command) => `${subjectOf(command)} `.startsWith(`${subject} `));
}
