// Where does this answer come from? The chain of one assignment, printed both ways, and who was champion when.
import type { Lineage, LineageArrow } from '#ops/lineage/lineage-tree.ts';
import { policyName } from './data-stages.ts';
import { modelName, type TrainedModel } from './model-stages.ts';
import type { Place } from './place.ts';
import type { Story } from './story.ts';

const kindsOf = (arrows: readonly LineageArrow[]): string[] =>
  arrows.flatMap(({ to }) => [to.kind, ...kindsOf(to.arrows)]);

const chain = ['variant', 'policy-version', 'model', 'run', 'dataset', 'offsets', 'event', 'archive'] as const;

function findFirst(arrows: readonly LineageArrow[], kind: string): string | null {
  for (const { to } of arrows) {
    if (to.kind === kind) return to.id;
    const below = findFirst(to.arrows, kind);
    if (below !== null) return below;
  }
  return null;
}

export async function showLineage(place: Place, story: Story, assignment: string, good: TrainedModel): Promise<void> {
  story.stage(
    'Where does this answer come from?',
    'From one household of the ramp to the model, its training, its dataset, and the events that it learned from.',
  );
  const { stdout } = await place.runOps(['lineage', 'assignment', assignment]);
  story.tell(stdout.trimEnd());
  const back = await place.ops<Lineage & { problems: number }>('lineage', 'assignment', assignment);
  const kinds = kindsOf(back.comesFrom);
  story.check(
    'every arrow from the assignment to the archive is there',
    chain.every((kind) => kinds.includes(kind)),
  );
  story.check('nothing on the way is missing', back.problems === 0);

  story.stage(
    'What came of this event?',
    'The other way: from one event to the models that learned from it, and to households.',
  );
  const event = findFirst(back.comesFrom, 'event')!;
  const forward = await place.runOps(['lineage', 'event', event]);
  story.tell(forward.stdout.trimEnd());
  story.check('the event leads to the model in production', forward.stdout.includes(`model ${good.model}`));

  story.stage('Who was champion when?', 'The ledger of promotions, which nobody can change.');
  for (const name of [modelName, policyName]) {
    const history = await place.runOps(['model', 'history', name]);
    story.tell(history.stdout.trimEnd());
    story.check(`the history of ${name} names ${good.model}`, history.stdout.includes(good.model));
  }
  const ledger = await place.runOps(['promote', 'ledger']);
  story.tell(ledger.stdout.trimEnd());
}
