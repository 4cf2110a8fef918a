/** The plan: which transports an email may go by, and in which order; weights hold over many. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSmtpUrl } from '../../src/domain/smtp-url.ts';
import {
  chooseTransports,
  drawOf,
  planOf,
  type RouteQuestion,
  type Rule,
  recordOf,
  routingHash,
  type TransportPlan,
} from '../../src/domain/transport-plan.ts';

const asked: RouteQuestion = { route: null, lane: 'transactional', fromDomain: 'shop.example', tags: [] };

function settingsOf(url: string) {
  const settings = parseSmtpUrl(url);
  if ('faults' in settings) throw new Error(settings.faults.join());
  return settings;
}

function planWith(rules: readonly Rule[], weights: Record<string, number> = { ses: 1, backup: 3 }): TransportPlan {
  return {
    transports: recordOf(['ses', 'backup'].map((name) => [name, settingsOf(`smtp://h.example?name=${name}`)])),
    routes: recordOf([
      ['default', { kind: 'failover', transports: ['ses', 'backup'], reserve: 0.25 }],
      ['marketing', { kind: 'weighted', weights, reserve: 0.5 }],
    ]),
    rules,
  };
}

describe('the plan of SMTP_URL', () => {
  it('has one transport and the route default over it', () => {
    const settings = settingsOf('smtp://u:p@h.example?name=ses');
    expect(planOf(settings)).toMatchObject({
      transports: { ses: settings },
      routes: { default: { kind: 'failover', transports: ['ses'], reserve: 0.25 } },
      rules: [],
    });
    expect(chooseTransports(planOf(settings), { ...asked, route: 'marketing' }, () => 0.5)).toEqual({
      route: 'default',
      transports: ['ses'],
      reserve: 0.25,
    });
  });

  it('has nothing but its own names, whatever they are', () => {
    const plan = planOf(settingsOf('smtp://h.example?name=constructor'));
    expect(Object.keys(plan.transports)).toEqual(['constructor']);
    expect(plan.transports.toString).toBeUndefined();
    expect(chooseTransports(plan, { ...asked, route: 'constructor' }, () => 0).route).toBe('default');
  });
});

describe('the route of an email', () => {
  const bulk: Rule = { when: { lane: 'bulk', tags: {} }, route: 'marketing' };
  const routeOf = (rules: readonly Rule[], question: Partial<RouteQuestion>) =>
    chooseTransports(planWith(rules), { ...asked, ...question }, () => 0).route;

  it('is the one it asks for, before any rule', () => {
    expect(routeOf([bulk], { route: 'default', lane: 'bulk' })).toBe('default');
  });

  it('falls to the rules when the one it asks for is not there any more', () => {
    expect(routeOf([bulk], { route: 'gone', lane: 'bulk' })).toBe('marketing');
    expect(routeOf([bulk], { route: 'toString' })).toBe('default');
  });

  it('is that of the first rule that holds', () => {
    const fromShop: Rule = { when: { fromDomain: 'shop.example', tags: {} }, route: 'default' };
    expect(routeOf([fromShop, bulk], { lane: 'bulk' })).toBe('default');
    expect(routeOf([bulk, fromShop], { lane: 'bulk' })).toBe('marketing');
  });

  it('takes a rule only when all of its conditions hold', () => {
    const rule: Rule = {
      when: { lane: 'bulk', fromDomain: 'shop.example', tags: { kind: 'receipt', shop: 'a' } },
      route: 'marketing',
    };
    const tags = [
      { name: 'shop', value: 'a' },
      { name: 'other', value: 'x' },
      { name: 'kind', value: 'receipt' },
    ];
    expect(routeOf([rule], { lane: 'bulk', tags })).toBe('marketing');
    expect(routeOf([rule], { lane: 'bulk', fromDomain: 'SHOP.Example', tags })).toBe('marketing');
    expect(routeOf([rule], { tags })).toBe('default');
    expect(routeOf([rule], { lane: 'bulk', fromDomain: 'mail.shop.example', tags })).toBe('default');
    expect(routeOf([rule], { lane: 'bulk', tags: tags.slice(1) })).toBe('default');
    expect(routeOf([rule], { lane: 'bulk', tags: [...tags.slice(1), { name: 'shop', value: 'A' }] })).toBe('default');
  });
});

describe('a weighted route', () => {
  const choose = (weights: Record<string, number>, rand: number) =>
    chooseTransports(planWith([], weights), { ...asked, route: 'marketing' }, () => rand);

  it('draws one and has the others stand in by weight, then by name', () => {
    const weights = { c: 2, b: 1, a: 2, d: 5 };
    expect(choose(weights, 0)).toEqual({ route: 'marketing', transports: ['d', 'a', 'c', 'b'], reserve: 0.5 });
    expect(choose(weights, 0.5).transports).toEqual(['a', 'd', 'c', 'b']);
    expect(choose(weights, 0.999_999).transports).toEqual(['b', 'd', 'a', 'c']);
  });

  it('draws each as often as its weight says, and has every one once', () => {
    const weights = fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/), fc.nat({ max: 20 }), { minKeys: 1 });
    fc.assert(
      fc.property(weights, (weights) => {
        const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
        fc.pre(total > 0);
        // One draw in the middle of each of as many equal parts as the weights have: what remains is exact.
        const firsts = Array.from({ length: total }, (_, part) => choose(weights, (part + 0.5) / total).transports);
        for (const [name, weight] of Object.entries(weights))
          expect(firsts.filter(([first]) => first === name)).toHaveLength(weight);
        const names = Object.keys(weights).sort();
        for (const transports of firsts) expect([...transports].sort()).toEqual(names);
      }),
    );
  });
});

describe('a draw', () => {
  it('is the same for an email each time, and spread over many', () => {
    const draws = Array.from({ length: 2_000 }, (_, n) => drawOf(`em_${n}`));
    expect(draws).toEqual(Array.from({ length: 2_000 }, (_, n) => drawOf(`em_${n}`)));
    for (const draw of draws) expect(draw >= 0 && draw < 1).toBe(true);
    for (let part = 0; part < 10; part++)
      expect(draws.filter((draw) => Math.floor(draw * 10) === part).length).toBeGreaterThan(130);
  });
});

it('plans with the same routes and rules route alike, whatever they say about the transports', () => {
  const plan = planWith([]);
  const faster = { ...planWith([]), transports: recordOf([['ses', settingsOf('smtp://h.example?rate=1/s')]]) };
  expect(routingHash(plan)).toBe(routingHash(faster));
  expect(routingHash(plan)).not.toBe(routingHash(planWith([], { ses: 2, backup: 3 })));
  expect(routingHash(plan)).not.toBe(routingHash(planWith([{ when: { lane: 'bulk', tags: {} }, route: 'marketing' }])));
});
