// How MLflow stands after a command that has moved what is in production.
import { type Alignment, describeAlignment } from '#producers/promotion-store/align-models.ts';
import type { CommandLine } from '../command-line/command-line.ts';

/** Says it; that MLflow is behind is a problem that the exit code tells. */
export function tellAlignment(line: Pick<CommandLine, 'note' | 'reportProblems'>, mlflow: Alignment): void {
  const text = describeAlignment(mlflow);
  if (text !== null) line.note(text);
  if (mlflow.status === 'behind') line.reportProblems();
}
