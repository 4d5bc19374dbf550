// Makes the cards of a dashboard, whose queries lie in the folder of its name.
import type { CardSpec, Chart } from './spec.ts';

export const cardsOf =
  (folder: string) =>
  (name: string, title: string, description: string, chart: Chart): CardSpec => ({
    key: `${folder}/${name}`,
    name: title,
    description,
    sql: `${folder}/${name}`,
    chart,
  });
