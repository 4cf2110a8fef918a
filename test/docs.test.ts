/** The documents in docs/: their examples work as written, their links lead somewhere, and what they list is all there is. */
import { existsSync, globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { explanationReasons } from '../src/domain/explain.ts';
import { faultCauses } from '../src/domain/fault-cause.ts';
import { problemNames } from '../src/domain/problem.ts';
import { recipientStatuses } from '../src/domain/recipient.ts';
import { describeApi } from '../src/http/openapi.ts';
import { metrics } from '../src/telemetry/metrics.ts';
import {
  anchorOf,
  blocksIn,
  canBeTyped,
  docs,
  documents,
  headingsIn,
  linksIn,
  proseIn,
  readDocument,
  root,
  sectionOf,
} from './support/documents.ts';
import { isSetting } from './support/setting-names.ts';
import { openTerminal } from './support/terminal.ts';

it('the examples work as written, one after the other', { timeout: 120_000 }, async () => {
  await using terminal = await openTerminal();
  const template = { name: 'news', alias: 'news', subject: 'News', text: 'Much has happened.' };
  await terminal.api('POST', '/v1/templates', template);
  for (const path of docs) {
    for (const block of blocksIn(readDocument(path))) {
      const { language, code } = block;
      if (language === 'js') await terminal.js(code);
      else if (canBeTyped(block))
        await terminal.sh(code).catch((error) => expect.unreachable(`${path}:\n${code}${error.stdout}${error}`));
    }
  }
});

it.each(documents)('the links in %s lead somewhere', (path) => {
  for (const link of linksIn(readDocument(path))) {
    const [file = '', anchor] = link.split('#');
    const target = file === '' ? path : join(dirname(path), file);
    expect(existsSync(join(root, target)), link).toBe(true);
    if (anchor !== undefined) expect(headingsIn(readDocument(target)).map(anchorOf), link).toContain(anchor);
  }
});

/** Paths of our code, as they are written in prose: from the root, or from `src/`. One may stand for several, by a `*`. */
const codePath = /^(?:src|test|bench|helm|[a-z]+(?=\/[\w/-]+\.ts$))\/[\w.*/-]+$/;

it.each(documents.filter((path) => path !== 'CHANGELOG.md'))('%s names files that there are', (path) => {
  const named = [...proseIn(readDocument(path)).matchAll(/`([^`\n]+)`/g)].map(([, name = '']) => name);
  const lost = named.filter(
    (name) => codePath.test(name) && globSync([name, `src/${name}`], { cwd: root }).length === 0,
  );
  expect(lost).toEqual([]);
});

it.each(docs)('%s names settings that there are', (path) => {
  for (const [name] of proseIn(readDocument(path)).matchAll(/\b[A-Z]+(?:_[A-Z]+)+\b/g))
    if (name !== 'NAME_FILE') expect(name).toSatisfy(isSetting);
});

describe('docs/sending.md', () => {
  const sending = readDocument('docs/sending.md');

  it('has every field of an email', async () => {
    const { components } = await describeApi('0');
    const fields = sectionOf(sending, '## Fields');
    const names = Object.keys(components.schemas?.EmailRequest?.properties ?? {});
    expect(names).toContain('ttl');
    expect(names.filter((field) => !fields.includes(`\n| \`${field}\` |`))).toEqual([]);
  });

  it('has every problem that a request may be answered with', () => {
    for (const name of problemNames) expect(sending).toMatch(new RegExp(`^\\| \\d{3} \\|.*\`${name}\`.*\\|`, 'm'));
  });
});

it('docs/campaigns.md has every field of a campaign', async () => {
  const { components } = await describeApi('0');
  const rows = sectionOf(readDocument('docs/campaigns.md'), '## Fields').match(/^\| `.*? \|/gm) ?? [];
  const listed = rows.flatMap((row) => [...row.matchAll(/`(\w+)/g)].map(([, name]) => name));
  const names = Object.keys(components.schemas?.CampaignRequest?.properties ?? {});
  expect(names).toContain('rate');
  expect(names.filter((name) => !listed.includes(name))).toEqual([]);
});

describe('docs/delivery.md', () => {
  const delivery = readDocument('docs/delivery.md');

  it('has every state and everything that mail may wait for', () => {
    const names = [...recipientStatuses, ...explanationReasons];
    expect(names.filter((name) => !delivery.includes(`\n| \`${name}\` |`))).toEqual([]);
  });

  it('names for each promise a test that proves it', () => {
    const promises = headingsIn(delivery).filter((heading) => /^\d\. /.test(heading));
    expect(promises).toHaveLength(9);
    for (const promise of promises)
      expect(sectionOf(delivery, `### ${promise}`), promise).toMatch(/\*Proved by\* .*\]\(\.\.\/test\/.*\.test\.ts\)/);
  });
});

describe('docs/operations.md', () => {
  const operations = readDocument('docs/operations.md');

  it('says what to do for every alert, in the section that the alert links to', () => {
    const rules = readDocument('helm/templates/prometheusrule.yaml');
    const alerts = [...rules.matchAll(/- alert: (\w+)$/gm)].map(([, name]) => name);
    expect(headingsIn(sectionOf(operations, '## Alerts'))).toEqual(alerts);
    const anchors = [...rules.matchAll(/"alert" "(\w+)"/g)].map(([, anchor]) => anchor);
    expect(anchors).toEqual(alerts.map((name = '') => anchorOf(name)));
  });

  it('says what to do for every cause that a transport is out of service by', () => {
    const steps = sectionOf(operations, '### PostriderBreakerOpen').match(/^\d\. .*$/gm) ?? [];
    const causes = steps.flatMap((step) => [...(step.match(/^\d\. ([^:]*):/)?.[1] ?? '').matchAll(/`(\w+)`/g)]);
    expect(causes.map(([, cause]) => cause).toSorted()).toEqual(faultCauses.toSorted());
  });

  it('names metrics that there are', () => {
    for (const [name] of operations.matchAll(/postrider_\w+/g)) expect(Object.keys(metrics)).toContain(name);
  });
});
