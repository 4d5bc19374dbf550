// Asks a registered model for its plans: training/score_candidates.py as a process, JSON lines in and out.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ModelPlanAnswer, ModelSlotPlan } from '#domain/planning/plan-of-model.ts';
import { FatalError } from '#platform/errors.ts';

const program = fileURLToPath(new URL('../../training/score_candidates.py', import.meta.url));

export type ModelRequest = { readonly id: string; readonly inputText: string };

export type ModelAnswer = ModelPlanAnswer & {
  readonly id: string;
  readonly free_plan: readonly ModelSlotPlan[];
  readonly latency_ms: number;
};

export type ModelProcess = {
  /** Interpreter with the packages of training. */
  readonly python: string;
  readonly mlflowUrl: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
};

/** Answers in the order of the requests. @throws FatalError with what the program said when it does not answer all of them. */
export async function scoreCandidates(
  model: string,
  requests: readonly ModelRequest[],
  { python, mlflowUrl, environment }: ModelProcess,
): Promise<ModelAnswer[]> {
  const child = spawn(python, [program, '--model', model], {
    // One thread is many times faster for a small model, and sums do not depend on the machine.
    env: { OMP_NUM_THREADS: '1', ...environment, MLFLOW_URL: mlflowUrl },
    stdio: 'pipe',
  });
  const output: string[] = [];
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => output.push(part));
  child.stderr.setEncoding('utf8').on('data', (part: string) => (said += part));
  // A program that ends early closes its input; its exit code says why.
  child.stdin.on('error', () => {});
  child.stdin.end(requests.map(({ id, inputText }) => `{"id":${JSON.stringify(id)},"input":${inputText}}\n`).join(''));
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', (error) =>
      reject(
        new FatalError(`${python} cannot be started: set TRAINING_PYTHON`, { code: 'config-invalid', cause: error }),
      ),
    );
    child.on('close', resolve);
  });
  if (exitCode !== 0) throw new FatalError(explainFailure(said, python, exitCode), { code: 'unexpected' });
  const answers = output
    .join('')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ModelAnswer);
  if (answers.length !== requests.length || answers.some(({ id }, index) => id !== requests[index]!.id)) {
    throw new FatalError(`${model} answered ${answers.length} of ${requests.length} requests`, { code: 'unexpected' });
  }
  return answers;
}

function explainFailure(said: string, python: string, exitCode: number | null): string {
  const lastLine = said.trim().split('\n').at(-1) ?? '';
  if (/ModuleNotFoundError|SyntaxError/.test(lastLine)) {
    return `${python} lacks the packages of training (${lastLine}): \`npm run train -- --help\` installs them, and TRAINING_PYTHON names them`;
  }
  return lastLine === '' ? `the model's program ended with exit code ${exitCode}` : lastLine;
}
