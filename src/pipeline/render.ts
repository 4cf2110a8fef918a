/** render: makes the content of emails that name a template, before they are accepted. */
import type { AskedEmail, EmailRequest, RequestLimits } from '../domain/email-request.ts';
import type { CompiledTemplate, Letter, TemplateFault, TemplateUse } from '../domain/template.ts';
import { lacksLink, noLink } from '../domain/unsubscribe-link.ts';
import type { Templates } from '../store/templates.ts';
import type { Templating } from '../templating/templating.ts';

export type RenderDeps = {
  templates: Pick<Templates, 'find' | 'content'>;
  templating: Pick<Templating, 'compiled' | 'cpuMs' | 'yieldTurn'>;
};

/** The complete email, or the faults of its template; their paths are within the email. */
export type Rendered = { readonly request: EmailRequest } | { readonly faults: readonly TemplateFault[] };

/** Limits for all emails of one request together: rendered characters, and CPU time to render them. */
const maxMade = 40 * 1024 * 1024;
const maxCpuMs = 2_000;

type Found = { readonly use: TemplateUse; readonly compiled: CompiledTemplate } | { readonly faults: TemplateFault[] };
type Asked = NonNullable<AskedEmail['template']>;

type Deps = RenderDeps & Pick<RequestLimits, 'canUnsubscribe'>;

/**
 * One answer for each of `asked`, in that order; null where `asked` is null. Each template is looked up once.
 * @param takeRoom called with the characters of all letters made so far. What it throws ends the rendering.
 */
export async function render(
  deps: Deps,
  asked: readonly (AskedEmail | null)[],
  takeRoom: (characters: number) => void,
): Promise<(Rendered | null)[]> {
  const found = new Map<string, Promise<Found>>();
  const find = (template: Asked): Promise<Found> => {
    const key = `${template.version ?? ''} ${template.id}`;
    const known = found.get(key) ?? findVersion(deps, template);
    found.set(key, known);
    return known;
  };
  const spent = { characters: 0, ms: 0 };
  const rendered: (Rendered | null)[] = [];
  for (const email of asked) {
    if (email?.template === undefined) rendered.push(email && complete(email, null));
    else {
      const template = await find(email.template);
      await deps.templating.yieldTurn();
      rendered.push(renderOne(deps, email, email.template, template, spent));
      takeRoom(spent.characters);
    }
  }
  return rendered;
}

/** Finds a template by its id or alias, in the version asked for, or the newest. */
export async function findVersion(
  { templates, templating }: RenderDeps,
  asked: Omit<Asked, 'variables'>,
): Promise<Found> {
  const head = await templates.find(asked.id);
  if (head === null) return { faults: [faultOf(['id'], 'unknown_template', 'is not a template here')] };
  const use = { id: head.id, version: asked.version ?? head.version };
  const compiled = await templating.compiled(use, () => templates.content(use));
  if (compiled === null) return { faults: [faultOf(['version'], 'unknown_version', 'is not a version of it')] };
  if (!('faults' in compiled)) return { use, compiled };
  const told = compiled.faults.map(({ path, message }) => `its ${path.join('.')} ${message}`).join('; ');
  return { faults: [faultOf(['id'], 'invalid_template', `cannot be used any more: ${told}`)] };
}

function faultOf(path: readonly string[], code: string, message: string): TemplateFault {
  return { path, code, message };
}

type Spent = { characters: number; ms: number };

function renderOne(
  { templating, canUnsubscribe }: Deps,
  email: AskedEmail,
  template: Asked,
  found: Found,
  spent: Spent,
): Rendered {
  if ('faults' in found) return { faults: found.faults.map(inTemplate) };
  const overspent = overLimit(spent);
  if (overspent !== null) return { faults: [inTemplate(faultOf([], 'too_much', overspent))] };
  const startedAt = templating.cpuMs();
  const letter = found.compiled.render(template.variables ?? {});
  spent.ms += templating.cpuMs() - startedAt;
  if ('faults' in letter) return { faults: letter.faults.map(inTemplate) };
  spent.characters += (letter.html?.length ?? 0) + (letter.text?.length ?? 0);
  const made = complete(email, { ...found, letter });
  if ('faults' in made || !lacksLink(made.request, { canUnsubscribe })) return made;
  return { faults: [inTemplate(faultOf([], 'no_link', noLink))] };
}

function overLimit({ characters, ms }: Spent): string | null {
  if (characters > maxMade) return `with all of them made, the emails have over ${maxMade} characters together`;
  return ms > maxCpuMs ? `to make all these emails takes over ${maxCpuMs} ms: send fewer at a time` : null;
}

function inTemplate(fault: TemplateFault): TemplateFault {
  return { ...fault, path: ['template', ...fault.path] };
}

type Made = { readonly use: TemplateUse; readonly compiled: CompiledTemplate; readonly letter: Letter };

/** `from`, `subject` and `reply_to` of the email itself win over those of its template. */
function complete({ template: _, ...email }: AskedEmail, made: Made | null): Rendered {
  const { from: ownFrom, subject: ownSubject, ...rest } = email;
  const from = ownFrom ?? made?.compiled.content.from ?? null;
  const subject = ownSubject ?? made?.letter.subject ?? null;
  const missing = [...(from === null ? ['from'] : []), ...(subject === null ? ['subject'] : [])];
  if (from === null || subject === null)
    return { faults: missing.map((name) => faultOf([name], 'required', 'is required: its template has none')) };
  if (made === null) return { request: { ...rest, from, subject } };
  const { use, letter, compiled } = made;
  const { replyTo } = compiled.content;
  return {
    request: {
      ...(replyTo.length > 0 ? { reply_to: [...replyTo] } : {}),
      ...rest,
      ...(letter.html === null ? {} : { html: letter.html }),
      ...(letter.text === null ? {} : { text: letter.text }),
      from,
      subject,
      template: use,
    },
  };
}
