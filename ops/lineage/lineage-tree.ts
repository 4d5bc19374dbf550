// The tree that lineage prints: each thing with its id, what is wrong with it, and where the arrows go; pure.

export type LineageKind =
  | 'assignment'
  | 'variant'
  | 'policy-version'
  | 'model'
  | 'run'
  | 'replay'
  | 'dataset'
  | 'offsets'
  | 'archive'
  | 'plan'
  | 'event'
  | 'assignments'
  | 'erasures';

export type LineageNode = {
  readonly kind: LineageKind;
  readonly id: string;
  /** One line for a person, without the id. */
  readonly text: string;
  /** In words: an artefact that should be there and is not. */
  readonly problems: readonly string[];
  /** Further lines. */
  readonly notes: readonly string[];
  readonly arrows: readonly LineageArrow[];
};

/** What leads from a thing to the next one, in words such as "was trained by". */
export type LineageArrow = { readonly relation: string; readonly to: LineageNode };

export type Lineage = {
  readonly of: LineageNode;
  readonly comesFrom: readonly LineageArrow[];
  readonly becameOf: readonly LineageArrow[];
};

/** A node with what the caller gives, and nothing else. */
export const createNode = (node: Pick<LineageNode, 'kind' | 'id' | 'text'> & Partial<LineageNode>): LineageNode => ({
  problems: [],
  notes: [],
  arrows: [],
  ...node,
});

export type Expander = (
  key: string,
  bare: () => Promise<LineageNode> | LineageNode,
  arrows: () => Promise<readonly LineageArrow[]>,
) => Promise<LineageNode>;

/** Gives a node its branches the first time that its key is met; later it is named only, because its branches are above. */
export function createExpander(): Expander {
  const shown = new Set<string>();
  return async (key, bare, arrows) => {
    const node = await bare();
    if (shown.has(key)) return { ...node, problems: [], notes: ['see above'], arrows: [] };
    shown.add(key);
    return { ...node, arrows: [...node.arrows, ...(await arrows())] };
  };
}

const titleOf = ({ kind, id, text }: LineageNode): string =>
  `${kind === 'policy-version' ? 'policy version' : kind} ${id}${text === '' ? '' : `: ${text}`}`;

const ownLines = ({ problems, notes }: LineageNode): string[] => [
  ...problems.map((problem) => `!! ${problem}`),
  ...notes,
];

function branchLines(arrows: readonly LineageArrow[], indent: string): string[] {
  return arrows.flatMap(({ relation, to }, index) => {
    const isLast = index === arrows.length - 1;
    const below = `${indent}${isLast ? '   ' : '│  '}`;
    const inner = `${below}${to.arrows.length === 0 ? '   ' : '│  '}`;
    return [
      `${indent}${isLast ? '└─ ' : '├─ '}${relation} ${titleOf(to)}`,
      ...ownLines(to).map((line) => `${inner}${line}`),
      ...branchLines(to.arrows, below),
    ];
  });
}

function countProblems({ problems, arrows }: Pick<LineageNode, 'problems' | 'arrows'>): number {
  return problems.length + arrows.reduce((sum, { to }) => sum + countProblems(to), 0);
}

/** How many artefacts are reported missing, or could not be looked up. */
export function countLineageProblems({ of, comesFrom, becameOf }: Lineage): number {
  return countProblems(of) + countProblems({ problems: [], arrows: [...comesFrom, ...becameOf] });
}

/** Control characters are shown, so that no id breaks a line. */
const onOneLine = (text: string): string => text.replace(/\p{Cc}/gu, (c) => JSON.stringify(c).slice(1, -1));

export function formatLineage(lineage: Lineage): string {
  const { of, comesFrom, becameOf } = lineage;
  const section = (title: string, arrows: readonly LineageArrow[], nothing: string): string[] => [
    '',
    title,
    ...(arrows.length === 0 ? [`└─ ${nothing}`] : branchLines(arrows, '')),
  ];
  const problems = countLineageProblems(lineage);
  return [
    titleOf(of),
    ...ownLines(of).map((line) => `   ${line}`),
    ...section('Where it comes from', comesFrom, 'nothing that is recorded'),
    ...section('What came of it', becameOf, 'nothing that is recorded'),
    ...(problems === 0 ? [] : ['', `${problems} problem${problems === 1 ? '' : 's'}, marked with !!`]),
  ]
    .map(onOneLine)
    .join('\n');
}
