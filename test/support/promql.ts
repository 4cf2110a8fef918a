/** What a query says of the metrics of one moment: as much of PromQL as alerts and KEDA use. */
import { parser } from '@prometheus-io/lezer-promql';

/** Of a counter the value is how much it grows in a second. */
export type Sample = {
  readonly name?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
};
type Node = ReturnType<typeof parser.parse>['topNode'];

const compare: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '>': (a, b) => a > b,
  '<': (a, b) => a < b,
  '==': (a, b) => a === b,
};
const aggregate: Readonly<Record<string, (values: readonly number[]) => number>> = {
  max: (values) => Math.max(...values),
  min: (values) => Math.min(...values),
  sum: (values) => values.reduce((sum, value) => sum + value, 0),
};
const match: Readonly<Record<string, (value: string, wanted: string) => boolean>> = {
  '=': (value, wanted) => value === wanted,
  '!=': (value, wanted) => value !== wanted,
  '=~': (value, wanted) => new RegExp(`^(?:${wanted})$`).test(value),
  '!~': (value, wanted) => !new RegExp(`^(?:${wanted})$`).test(value),
};

/**
 * An alert fires when something is left.
 * @throws on what is not known here
 */
export function evaluate(query: string, samples: readonly Sample[]): readonly Sample[] {
  const textOf = ({ from, to }: Node) => query.slice(from, to);
  const known = <T>(of: Readonly<Record<string, T>>, node: Node | undefined): T => {
    const found = node && of[textOf(node)];
    if (found === undefined) throw new Error(`${query}: ${node ? textOf(node) : 'a part'} is not known here`);
    return found;
  };

  const kinds: Readonly<Record<string, (parts: readonly Node[], node: Node) => readonly Sample[]>> = {
    PromQL: ([inside]) => look(inside),
    FunctionCallBody: ([inside]) => look(inside),
    MatrixSelector: ([selector]) => look(selector),
    NumberDurationLiteral: (_, node) => [{ labels: {}, value: Number(textOf(node)) }],
    VectorSelector: ([name, matchers]) => {
      const wanted = partsOf(matchers).map((matcher) => partsOf(matcher));
      return samples.filter(
        (sample) =>
          name !== undefined &&
          sample.name === textOf(name) &&
          wanted.every(([label, operator, text]) =>
            known(match, operator)((label && sample.labels[textOf(label)]) ?? '', text ? JSON.parse(textOf(text)) : ''),
          ),
      );
    },
    FunctionCall: ([name, body]) => {
      const inside = look(body);
      const absent: readonly Sample[] = inside.length === 0 ? [{ labels: {}, value: 1 }] : [];
      return known({ rate: inside, absent }, name);
    },
    AggregateExpr: ([operator, ...rest]) => {
      const by = partsOf(rest.find(({ name }) => name === 'AggregateModifier')).at(-1);
      const kept = partsOf(by).map(textOf);
      const groups = Object.groupBy(look(rest.at(-1)), ({ labels }) =>
        JSON.stringify(kept.map((label) => labels[label])),
      );
      return Object.values(groups).map((group = []) => ({
        labels: Object.fromEntries(kept.map((label) => [label, group[0]?.labels[label] ?? ''])),
        value: known(aggregate, operator)(group.map(({ value }) => value)),
      }));
    },
    BinaryExpr: ([left, operator, right]) => {
      if (operator?.name === 'Or') return [...look(left), ...look(right)];
      const [bound] = look(right);
      return look(left).filter(({ value }) => known(compare, operator)(value, bound?.value ?? Number.NaN));
    },
  };
  function look(node: Node | undefined): readonly Sample[] {
    const kind = node && kinds[node.name];
    if (!kind) throw new Error(`${query}: ${node?.name ?? 'a part'} is not known here`);
    return kind(partsOf(node), node);
  }
  return look(parser.parse(query).topNode);
}

function partsOf(node: Node | undefined): readonly Node[] {
  const parts: Node[] = [];
  for (let part = node?.firstChild; part; part = part.nextSibling) parts.push(part);
  return parts;
}
