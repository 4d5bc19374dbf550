// Reads one ingredient line of a recipe with the lexicon: which ingredients it names, and whether it could be read at all.

import { type LexiconEntry, lexicon } from './ingredient-lexicon.ts';

export type IngredientLine = {
  readonly line: string;
  /** Ingredients that the line names outside parentheses, in the order of the text, each once. */
  readonly named: readonly LexiconEntry[];
  /** Ingredients that only stand in parentheses: substitutes and remarks, so perhaps in the dish and perhaps not. */
  readonly mentioned: readonly LexiconEntry[];
  readonly optional: boolean;
  /** False when no word of the line is in the lexicon: then nothing may be concluded from what is missing. */
  readonly recognized: boolean;
};

type PhraseIndex = ReadonlyMap<string, readonly { words: readonly string[]; entry: LexiconEntry }[]>;

/** Lower case, no accents, words only, plurals cut: "2 Cloves of Jalapeños" gives clove, of, jalapeno. */
export function toWords(text: string): string[] {
  const plain = text
    .normalize('NFD')
    .replace(/\p{Diacritic}/gu, '')
    .toLowerCase();
  return (plain.match(/[a-z]+/g) ?? []).map(toSingular);
}

function toSingular(word: string): string {
  if (word.length <= 3 || /(ss|us)$/.test(word)) return word;
  if (word.endsWith('ies')) return `${word.slice(0, -3)}y`;
  if (/(oes|ches|shes|xes)$/.test(word)) return word.slice(0, -2);
  return word.endsWith('s') ? word.slice(0, -1) : word;
}

function createPhraseIndex(entries: readonly LexiconEntry[]): PhraseIndex {
  const index = new Map<string, { words: readonly string[]; entry: LexiconEntry }[]>();
  for (const entry of entries) {
    for (const phrase of [entry.name, ...entry.also]) {
      const words = toWords(phrase);
      const first = words[0];
      if (first === undefined) continue;
      const list = index.get(first) ?? [];
      list.push({ words, entry });
      index.set(first, list);
    }
  }
  // Longest phrase first, so that "peanut butter" is not read as butter.
  for (const list of index.values()) list.sort((a, b) => b.words.length - a.words.length);
  return index;
}

const phraseIndex = createPhraseIndex(lexicon);

function findIngredients(text: string): LexiconEntry[] {
  const words = toWords(text);
  const found = new Set<LexiconEntry>();
  for (let at = 0; at < words.length; ) {
    const match = phraseIndex
      .get(words[at]!)
      ?.find((phrase) => phrase.words.every((word, i) => words[at + i] === word));
    if (match) found.add(match.entry);
    at += match?.words.length ?? 1;
  }
  return [...found];
}

/** Reads one ingredient line; never fails: a line that names nothing known comes back with `recognized: false`. */
export function parseIngredientLine(line: string): IngredientLine {
  const outside = line.replace(/\([^)]*\)?/g, ' ');
  const inside = [...line.matchAll(/\(([^)]*)\)?/g)].map((match) => match[1]).join(' ');
  const named = findIngredients(outside);
  const mentioned = findIngredients(inside).filter((entry) => !named.includes(entry));
  return { line, named, mentioned, optional: /\boptional/i.test(line), recognized: named.length > 0 };
}

/** The canonical ingredient that a word or phrase stands for, or null when the lexicon has none. */
export function findIngredient(phrase: string): LexiconEntry | null {
  return findIngredients(phrase)[0] ?? null;
}
