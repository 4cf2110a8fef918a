/** Templates: what is stored of one, how a request becomes one, and what rendering one comes to. */
import type { Mailbox } from './address.ts';
import type { TemplateChanges, TemplateRequest } from './template-request.ts';
import { linkMark } from './unsubscribe-link.ts';
import type { Woven } from './woven.ts';

/** What is written in Liquid, in the order in which faults are told. */
export const templateParts = ['subject', 'html', 'text', 'preheader'] as const;
export type TemplatePart = (typeof templateParts)[number];

/** What a variable that is not given means. */
export const missingPolicies = ['strict', 'lenient'] as const;

export const variableTypes = ['string', 'number'] as const;

/** A variable the template's author said something of. */
export type DeclaredVariable = {
  readonly key: string;
  readonly type: (typeof variableTypes)[number];
  /** Stands where none is given; null for nothing. */
  readonly fallback: string | number | null;
};

/** One version: it never changes. */
export type TemplateContent = { readonly [part in TemplatePart]: string | null } & {
  readonly from: Mailbox | null;
  readonly replyTo: readonly Mailbox[];
  readonly missing: (typeof missingPolicies)[number];
  readonly variables: readonly DeclaredVariable[];
  /** What stands for variables that a reader has not, of any kind: given by whoever sends it to many. */
  readonly defaults?: Variables;
};

export type TemplateHead = {
  readonly id: string;
  readonly name: string;
  /** A name to call it by in place of its id. */
  readonly alias: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** The number of its newest version, from 1. */
  readonly version: number;
};

export type Template = { readonly head: TemplateHead; readonly content: TemplateContent };

/** Which version of which template an email was made of. */
export type TemplateUse = { readonly id: string; readonly version: number };

/** A variable as the sources use it. */
export type VariableUse = {
  readonly key: string;
  /** `order.total`, as often as it is written differently. */
  readonly paths: readonly string[];
  readonly usedIn: readonly TemplatePart[];
};

export type Variables = Readonly<Record<string, unknown>>;

/** What is wrong, and where below the template or the variables that were given. */
export type TemplateFault = {
  readonly path: readonly (string | number)[];
  readonly code: string;
  readonly message: string;
};

/** Why a letter could not be made, for whoever looks at its email. */
export function unmadeBecause(faults: readonly TemplateFault[]): string {
  const words = faults.map(({ path, message }) => [path.join('.'), message].filter((part) => part !== '').join(' '));
  return `its letter could not be made: ${words.join(', ')}`;
}

export type Letter = { readonly subject: string | null; readonly html: string | null; readonly text: string | null };
export type WovenLetter = { readonly subject: string | null; readonly html: Woven | null; readonly text: Woven | null };

/** Parsed once, rendered as often as there are readers. */
export type CompiledTemplate = {
  readonly content: TemplateContent;
  readonly uses: readonly VariableUse[];
  /** Ends within its limits and never throws. Faults of variables have a path that starts with `variables`. */
  weave(variables: Variables): WovenLetter | { readonly faults: readonly TemplateFault[] };
  /** The same, with each text whole. */
  render(variables: Variables): Letter | { readonly faults: readonly TemplateFault[] };
};

/** Made of the template's own id, as the id of an event is of its email's. */
export function versionIdOf({ id, version }: TemplateUse): string {
  return `${id}_${version}`;
}

export function makeContent(request: Omit<TemplateRequest, 'name' | 'alias'>): TemplateContent {
  const { subject = null, html = null, text = null, preheader = null, from = null, reply_to, missing } = request;
  return {
    ...{ subject, html, text, preheader, from },
    replyTo: reply_to ?? [],
    missing: missing ?? 'strict',
    variables: declaredIn(request.variables),
  };
}

function declaredIn(given: TemplateChanges['variables']): DeclaredVariable[] {
  return (given ?? []).map(({ key, type, fallback_value }) => ({ key, type, fallback: fallback_value ?? null }));
}

/** What a change leaves out stays; null takes a field away. */
export function changeContent(
  content: TemplateContent,
  changes: Omit<TemplateChanges, 'name' | 'alias'> & { readonly name?: unknown; readonly alias?: unknown },
): TemplateContent {
  const { name: _, alias: _alias, variables, reply_to, missing, ...parts } = changes;
  const given = Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
  return {
    ...content,
    ...given,
    ...(reply_to === undefined ? {} : { replyTo: reply_to ?? [] }),
    ...(missing === undefined ? {} : { missing }),
    ...(variables === undefined ? {} : { variables: declaredIn(variables) }),
  };
}

export function hasBody({ html, text }: Pick<TemplateContent, 'html' | 'text'>): boolean {
  return (html ?? '') !== '' || text !== null;
}

const unfilled = { unsubscribe_url: linkMark };

/** The variables to render with, those that are declared and not given filled in; faults where one is of another type than declared. */
export function fillIn(
  { variables: declared, defaults = {} }: Pick<TemplateContent, 'variables' | 'defaults'>,
  given: Variables,
): { readonly variables: Variables; readonly faults: readonly TemplateFault[] } {
  const variables: Record<string, unknown> = { ...unfilled, ...defaults, ...given };
  const faults: TemplateFault[] = [];
  for (const { key, type, fallback } of declared) {
    const value = Object.hasOwn(variables, key) ? variables[key] : null;
    if (value !== null && typeof value !== type)
      faults.push({ path: ['variables', key], code: 'invalid_type', message: `must be a ${type}` });
    if (value === null && fallback !== null) variables[key] = fallback;
  }
  return { variables, faults };
}
