/** Holds every answer a test gets to openapi.yaml, and every body the server accepted. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import type { ApiDocument, Response as Documented, Media, Operation } from '../../src/http/openapi/document.ts';
import { openChecks, readOpenApi, resolve } from './openapi.ts';

/** One request and its answer, as they went over the wire. */
export type Exchange = {
  readonly method: string;
  /** With or without origin and query. */
  readonly url: string;
  readonly sent?: string | undefined;
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
};

/** What in an exchange is not as the document says; empty when all of it is, or the path is not documented. */
export type Conformance = (exchange: Exchange) => string[];

/** A caller without a key or beyond its rate is told that, and nothing of what there is. */
const ofUndocumentedMethods = [401, 404, 405, 429];

const json = /^application\/(?:[\w.-]+\+)?json$/;

export function openConformance(document: ApiDocument): Conformance {
  const checkOf = openChecks(document);
  const find = openPaths(document);

  function inBody(media: Media, text: string): string[] {
    const value = parse(text);
    if (value === undefined) return ['is not JSON'];
    return media.schema === undefined ? [] : checkOf(media.schema)(value);
  }

  function inAnswer(documented: Documented, { method, headers, text }: Exchange): string[] {
    const content = method === 'HEAD' ? {} : (documented.content ?? {});
    const type = essence(headers['content-type']);
    const media = content[type];
    const missing = Object.entries(documented.headers ?? {})
      .filter(([name, header]) => resolve(document, header).required && headers[name.toLowerCase()] === undefined)
      .map(([name]) => `the header ${name} is missing`);
    if (Object.keys(content).length === 0) return text === '' ? missing : [...missing, 'a body is not documented'];
    if (media === undefined)
      return [...missing, `the content type is ${type || 'missing'}, not ${Object.keys(content).join(' or ')}`];
    return [...missing, ...(json.test(type) ? inBody(media, text).map((fault) => `body ${fault}`) : [])];
  }

  function inRequest({ requestBody }: Operation, { sent, status, text }: Exchange): string[] {
    const media = requestBody?.content['application/json'];
    if (media === undefined || sent === undefined || status >= 300 || tellsOfErrors(text)) return [];
    return inBody(media, sent).map((fault) => `accepted request body ${fault}`);
  }

  return (exchange) => {
    const { method, url, status } = exchange;
    const found = find(method.toLowerCase(), new URL(url, 'http://localhost').pathname);
    if (found === undefined) return [];
    const faults = () => {
      if (found.operation === undefined)
        return ofUndocumentedMethods.includes(status) ? [] : ['the method is not documented'];
      // Documented for callers; to a test it is a bug.
      if (status === 500) return ['the server failed'];
      const documented = found.operation.responses[status];
      if (documented === undefined) return ['the status is not documented'];
      return [...inAnswer(documented, exchange), ...inRequest(found.operation, exchange)];
    };
    const name = `${method} ${found.path} (${found.operation?.operationId ?? 'no operation'}) answered ${status}`;
    return faults().map((fault) => `${name}: ${fault}`);
  };
}

type Found = { readonly path: string; readonly operation: Operation | undefined };

/** Finds by method and concrete path; `operation` is undefined where only the path is documented. HEAD is GET without its body. */
function openPaths({ paths }: ApiDocument): (method: string, path: string) => Found | undefined {
  const templates = Object.entries(paths)
    .map(([path, operations]) => ({ path, operations, pattern: patternOf(path) }))
    // A template with fewer variables is the more special one, and comes first.
    .toSorted((a, b) => a.path.split('{').length - b.path.split('{').length);
  return (method, path) => {
    const best = templates.find(({ pattern }) => pattern.test(path));
    return best && { path: best.path, operation: best.operations[method === 'head' ? 'get' : method] };
  };
}

function patternOf(template: string): RegExp {
  const parts = template.split(/\{\w+\}/).map((part) => RegExp.escape(part));
  return new RegExp(`^${parts.join('[^/]+')}$`);
}

function essence(type: string | readonly string[] | undefined): string {
  const [first = ''] = String(type ?? '').split(';');
  return first.trim().toLowerCase();
}

/** Of a batch, those that are right may be accepted and the others not. */
function tellsOfErrors(text: string): boolean {
  const answer = parse(text) as { readonly errors?: readonly unknown[] } | null | undefined;
  return (answer?.errors?.length ?? 0) > 0;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

let conformance: Conformance | undefined;

/** @throws with every fault, when the exchange is not as openapi.yaml says */
export function expectConformance(exchange: Exchange): void {
  const faults = faultsOf(exchange);
  if (faults.length > 0) throw new Error(message(faults));
}

/** Opened when it is first needed: reading the document takes a test file about 0.2 s. */
function faultsOf(exchange: Exchange): string[] {
  conformance ??= openConformance(readOpenApi());
  return conformance(exchange);
}

function message(faults: readonly string[]): string {
  return `Not as openapi.yaml says (npm run openapi writes it anew):\n${faults.map((fault) => `  ${fault}`).join('\n')}`;
}

/** A fetch that tells of each fault; what it answers is untouched. */
export function watchedFetch(
  underlying: typeof fetch,
  find: Conformance,
  tell: (faults: string[]) => void,
): typeof fetch {
  return async (input, init) => {
    const asked = new Request(input, init);
    const sent = asked.body === null ? undefined : await asked.clone().text();
    const answer = await underlying(asked);
    const text = await answer.clone().text();
    const { method, url } = asked;
    const faults = find({
      method,
      url,
      sent,
      status: answer.status,
      headers: Object.fromEntries(answer.headers),
      text,
    });
    if (faults.length > 0) tell(faults);
    return answer;
  };
}

/**
 * Watches the process's own fetch for the rest of the test file, for clients that cannot be handed another one.
 * Such clients may swallow what a fetch throws, so faults are kept and fail the test when it ends.
 */
export function watchFetch(): void {
  const own = globalThis.fetch;
  const kept: string[] = [];
  beforeAll(() => {
    globalThis.fetch = watchedFetch(own, faultsOf, (faults) => kept.push(...faults));
  });
  afterEach(() => {
    const faults = kept.splice(0);
    expect(faults, message(faults)).toEqual([]);
  });
  afterAll(() => {
    globalThis.fetch = own;
  });
}
