// `ops promote start | check | approve | finish | roll-back | status | ledger | calibration`.
import type { Command } from 'commander';
import { readLookEvidence } from '#analytics/promotion/look-evidence.ts';
import { parseRampPlan } from '#domain/promotion/ramp-plan.ts';
import type { JsonObject } from '#domain/targeting/condition.ts';
import { FatalError } from '#platform/errors.ts';
import { alignModels } from '#producers/promotion-store/align-models.ts';
import { listCalibration } from '#producers/promotion-store/calibration.ts';
import { type EndedPromotion, finishPromotion, rollBackPromotion } from '#producers/promotion-store/end-promotion.ts';
import {
  approvePromotion,
  type LookDeps,
  lookAtPromotion,
  previewLook,
} from '#producers/promotion-store/look-at-promotion.ts';
import { toLookDocument, toPromotionDocument } from '#producers/promotion-store/promotion-document.ts';
import { listLedger, listRunning } from '#producers/promotion-store/promotion-ledger.ts';
import { describeVersion, getPromotion, listPromotionIds } from '#producers/promotion-store/promotion-state.ts';
import { defaultPromotionMetrics, startPromotion } from '#producers/promotion-store/start-promotion.ts';
import { type Definitions, withDefinitions } from '../apply/open-definitions.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parseCount, parsePositiveInteger, parseReason } from '../command-line/option-values.ts';
import { toJson } from '../command-line/output.ts';
import { describeLook, formatCalibration, formatLedger, formatPromotion, formatStatus } from './describe-promotion.ts';
import {
  addGuardrail,
  addParam,
  type GuardrailOption,
  parseDuration,
  parseHold,
  parseModelVersion,
  parseShares,
} from './promotion-options.ts';
import { tellAlignment } from './tell-alignment.ts';

type StartOptions = {
  policy: string;
  reason: string;
  experiment?: string;
  unitType?: string;
  steps?: number[];
  holdAbove?: number | null;
  minUnits?: number;
  minTime?: number;
  primary?: string;
  guardrail?: GuardrailOption[];
  guardrailUnits?: number;
  param?: JsonObject;
  force?: string;
  json: boolean;
};
type EndOptions = { reason: string; force?: string; json: boolean };

const toDeps = ({ pool, models, stages }: Definitions): LookDeps => ({
  pool,
  models,
  stages,
  readEvidence: (experimentId) => readLookEvidence(pool, experimentId),
});

const refusal = (message: string): FatalError => new FatalError(message, { code: 'config-invalid' });

export function addPromotionCommands(program: Command, line: CommandLine): void {
  const { print, actor } = line;
  const promote = program
    .command('promote')
    .description('bring a model version into production: gate, small share, ramp under guardrails, ledger');
  const withDeps = <T>(work: (deps: LookDeps) => Promise<T>): Promise<T> =>
    withDefinitions(line, (definitions) => work(toDeps(definitions)));

  promote
    .command('start')
    .description('give a model version that passed the gate a small share of traffic')
    .argument('<model/version>', 'registered model version, such as planner_model/3', parseModelVersion)
    .requiredOption('--policy <name>', 'policy whose next version it becomes')
    .requiredOption('--reason <text>', 'why, for the ledger', parseReason)
    .option('--steps <shares>', 'shares of traffic of the candidate (default: 0.01,0.05,0.1,0.25,0.5)', parseShares)
    .option(
      '--hold-above <share>',
      'a person approves more than this share; none: nobody has to (default: 0.1)',
      parseHold,
    )
    .option('--min-units <count>', 'new units of each variant before the next step (default: 100)', parseCount)
    .option('--min-time <duration>', 'least time in a step, such as 300, 5m or 2h (default: 1h)', parseDuration)
    .option('--experiment <key>', 'key of its experiment (default: POLICY-promotion)')
    .option('--unit-type <type>', 'what is randomized (default: household)')
    .option('--primary <metric>', `metric of the goal (default: ${defaultPromotionMetrics.primary})`)
    .option(
      '--guardrail <metric[:bound]>',
      'what may not get worse, repeatable (default: slow_plans and acceptance_rate:0.1)',
      addGuardrail,
    )
    .option(
      '--guardrail-units <count>',
      'units of each variant before a guardrail is judged (default: 100)',
      parsePositiveInteger,
    )
    .option(
      '--param <name=value>',
      'in the config_defaults of its policy version, repeatable (default: those of the version in production)',
      addParam,
    )
    .option(
      '--force <reason>',
      'although no replay has passed it; recorded. A failed gate cannot be forced',
      parseReason,
    )
    .option('--json', 'one JSON object', false)
    .action((model: { name: string; version: number }, options: StartOptions) =>
      withDeps(async (deps) => {
        const parsed = parseRampPlan({ ...options, minSeconds: options.minTime });
        if (!parsed.ok) throw refusal(parsed.problems.map(({ field, message }) => `${field}: ${message}`).join('; '));
        const { policy, experiment, unitType, primary, guardrail, guardrailUnits, force, reason, json } = options;
        const { promotion, mlflow } = await startPromotion(
          deps,
          {
            model,
            params: options.param,
            policyName: policy,
            plan: parsed.plan,
            experimentKey: experiment,
            unitType,
            force,
            metrics: {
              ...defaultPromotionMetrics,
              ...(primary === undefined ? {} : { primary }),
              ...(guardrail === undefined ? {} : { guardrails: guardrail }),
            },
            analysis: guardrailUnits === undefined ? undefined : { guardrail_units: guardrailUnits },
          },
          { actor, reason },
        );
        tellAlignment(line, mlflow);
        const document = toPromotionDocument(promotion);
        if (json) return print(toJson(document));
        const { candidateVersion, controlVersion } = promotion;
        print(
          `${document.experiment_key} iteration ${document.iteration} is running: ${describeVersion(candidateVersion)} gets ` +
            `${document.candidate_share} of traffic and ${describeVersion(controlVersion)} as much; everybody else stays outside`,
        );
        print(`next: \`ops promote check ${document.experiment_key}\`, at any time and again and again`);
      }),
    );

  promote
    .command('check')
    .description('one look at each ramp: takes the step that is due, or says why not; brings MLflow in line')
    .argument('[experiment]', 'only this promotion: key, or id of one iteration')
    .option('--json', 'one JSON object', false)
    .action((key: string | undefined, { json }: { json: boolean }) =>
      withDeps(async (deps) => {
        const ids =
          key === undefined
            ? (await listRunning(deps.pool)).map(({ experimentId }) => experimentId)
            : [(await getPromotion(deps.pool, key)).experiment.experimentId];
        const looks = [];
        for (const id of ids) looks.push(await lookAtPromotion(deps, id, actor));
        const mlflow = await alignModels(deps.pool, deps.stages);
        tellAlignment(line, mlflow);
        if (json) return print(toJson({ promotions: looks.map(toLookDocument), mlflow }));
        if (looks.length === 0) print('no promotion is under way');
        for (const look of looks) print(describeLook(look));
      }),
    );

  promote
    .command('approve')
    .description('let a ramp go above the share at which it holds')
    .argument('<experiment>', 'key, or id of one iteration')
    .requiredOption('--reason <text>', 'why, for the ledger', parseReason)
    .option('--json', 'one JSON object', false)
    .action((key: string, { reason, json }: EndOptions) =>
      withDeps(async (deps) => {
        const promotion = await approvePromotion(deps, key, { actor, reason });
        if (json) return print(toJson(toPromotionDocument(promotion)));
        print(
          `${promotion.experiment.experimentKey} is approved: the next check may go above the share at which it holds`,
        );
      }),
    );

  const tellEnd = ({ promotion, mlflow }: EndedPromotion, json: boolean, text: string): void => {
    tellAlignment(line, mlflow);
    print(json ? toJson({ ...toPromotionDocument(promotion), mlflow }) : text);
  };

  promote
    .command('finish')
    .description('put the candidate into production: everybody gets it, and its predecessor is retired')
    .argument('<experiment>', 'key, or id of one iteration')
    .requiredOption('--reason <text>', 'why, for the ledger', parseReason)
    .option('--force <reason>', 'although the ramp is not at its end; recorded', parseReason)
    .option('--json', 'one JSON object', false)
    .action((key: string, { reason, force, json }: EndOptions) =>
      withDeps(async (deps) => {
        const ended = await finishPromotion(deps, key, { author: { actor, reason }, force });
        const version = describeVersion(ended.promotion.candidateVersion);
        tellEnd(
          ended,
          json,
          ended.isNew
            ? `${version} is in production: everybody gets it`
            : `${version} was finished before: nothing to do`,
        );
      }),
    );

  promote
    .command('roll-back')
    .description('stop a promotion, or take a finished one back; stored assignments stay as they are')
    .argument('<experiment>', 'key, or id of one iteration')
    .requiredOption('--reason <text>', 'why, for the ledger', parseReason)
    .option('--json', 'one JSON object', false)
    .action((key: string, { reason, json }: EndOptions) =>
      withDeps(async (deps) => {
        const ended = await rollBackPromotion(deps, key, { actor, reason });
        const { promotion, isNew } = ended;
        const back =
          promotion.experiment.serving.mode === 'all_to'
            ? `everybody gets ${describeVersion(promotion.controlVersion)} again`
            : 'callers get their default again';
        const version = describeVersion(promotion.candidateVersion);
        tellEnd(
          ended,
          json,
          isNew ? `${version} is rolled back: ${back}` : `${version} was rolled back before: nothing to do`,
        );
      }),
    );

  promote
    .command('status')
    .description('promotions and what each waits for; changes nothing')
    .argument('[experiment]', 'one of them with its ledger: key, or id of one iteration')
    .option('--json', 'one JSON object', false)
    .action((key: string | undefined, { json }: { json: boolean }) =>
      withDeps(async (deps) => {
        if (key !== undefined) {
          const { experiment, ledger } = await getPromotion(deps.pool, key);
          const look = await previewLook(deps, experiment.experimentId);
          return print(json ? toJson({ ...toLookDocument(look), ledger }) : formatPromotion(look, ledger));
        }
        const looks = [];
        for (const id of (await listPromotionIds(deps.pool, null)).reverse()) looks.push(await previewLook(deps, id));
        if (json) return print(toJson({ promotions: looks.map(toLookDocument) }));
        print(looks.length === 0 ? 'no model was promoted yet' : formatStatus(looks));
      }),
    );

  promote
    .command('ledger')
    .description('who did what to which model version, when and why; nobody can change it')
    .argument('[experiment]', 'only of this promotion: key, or id of one iteration')
    .option('--limit <count>', 'only the latest rows', parsePositiveInteger, 200)
    .option('--json', 'one JSON object, with the evidence of every row', false)
    .action((key: string | undefined, { limit, json }: { limit: number; json: boolean }) =>
      withDeps(async ({ pool }) => {
        const rows = await listLedger(pool, { keyOrId: key ?? null, limit });
        if (json) return print(toJson({ ledger: rows }));
        print(rows.length === 0 ? 'the ledger is empty' : formatLedger(rows));
      }),
    );

  promote
    .command('calibration')
    .description('what the gate predicted of promoted models beside what they did for real units')
    .option('--json', 'one JSON object', false)
    .action(({ json }: { json: boolean }) =>
      withDeps(async ({ pool }) => {
        const rows = await listCalibration(pool);
        if (json) return print(toJson({ calibration: rows }));
        print(rows.length === 0 ? 'no promotion has ended yet' : formatCalibration(rows));
      }),
    );
}
