// `ops results KEY`: what an experiment has shown, as text, JSON or a report for the browser.
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { readResults } from '#analytics/results/read-results.ts';
import { toWire } from '#domain/results/to-wire.ts';
import { FatalError } from '#platform/errors.ts';
import { withDefinitions } from '../apply/open-definitions.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { toJson } from '../command-line/output.ts';
import { describeResults } from './describe-results.ts';
import { renderReport } from './report.ts';

type ResultsCommandOptions = { json: boolean; html?: string | true; history: boolean; segments: boolean };

export function addResultsCommands(program: Command, line: CommandLine): void {
  program
    .command('results')
    .description('what an experiment has shown: split, effects, guardrails, and what to do')
    .argument('<key>', 'key, or id of one iteration')
    .option('--json', 'one JSON object, as GET /v1/experiments/{key}/results', false)
    .option('--html [file]', 'a report for the browser in one file; on stdout without a name')
    .option('--history', 'effects cumulated by day of first exposure (the report has them)', false)
    .option('--segments', "effects by the definition's segments (the report has them)", false)
    .action((key: string, options: ResultsCommandOptions) =>
      withDefinitions(line, async ({ pool }) => {
        const wantsAll = options.html !== undefined;
        const results = await readResults(pool, key, {
          history: wantsAll || options.history,
          segments: wantsAll || options.segments,
        });
        if (results === null) throw new FatalError(`there is no experiment ${key}`, { code: 'config-invalid' });
        if (options.json) return line.print(toJson(toWire(results)));
        if (options.html === undefined) return line.print(describeResults(results));
        const page = renderReport(results);
        if (options.html === true) return line.print(page);
        await writeFile(options.html, page);
        line.note(`written to ${options.html}`);
      }),
    );
}
