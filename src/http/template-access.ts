/** Finds the template that a request names, and what the routes that use or write one have in common. */
import { z } from 'zod';
import type { Fault } from '../domain/problem.ts';
import type {
  CompiledTemplate,
  Template,
  TemplateContent,
  TemplateFault,
  TemplateHead,
  TemplateUse,
} from '../domain/template.ts';
import type { Templates } from '../store/templates.ts';
import type { Templating } from '../templating/templating.ts';
import { exampleTemplate } from './openapi/template-examples.ts';
import { toPointer } from './pointer.ts';
import { ProblemError } from './problems.ts';

/** Any email may be made from a template, so a limited key may not change one. */
export const writeConfig = { scope: 'manage', unrestricted: true } as const;

/** Bytes of a request with the content of a template: its html and its text, escaped in JSON. */
export const maxTemplateBytes = 2 * 1024 * 1024;

export const templateParams = z.object({
  id: z.string().meta({ description: 'The id of the template, `tp_…`, or its alias.', examples: [exampleTemplate.id] }),
});

export function templateMissing(name: string): ProblemError {
  return new ProblemError('not_found', `There is no template ${name}`);
}

/** @throws ProblemError 404 */
export async function findTemplate(templates: Pick<Templates, 'find'>, name: string): Promise<TemplateHead> {
  const head = await templates.find(name);
  if (head === null) throw templateMissing(name);
  return head;
}

/** In its newest version. @throws ProblemError 404 */
export async function loadTemplate(templates: Pick<Templates, 'find' | 'content'>, name: string): Promise<Template> {
  const head = await findTemplate(templates, name);
  const content = await templates.content(head);
  if (content === null) throw templateMissing(name);
  return { head, content };
}

export function aliasTaken(): ProblemError {
  return ProblemError.of('validation_error', [
    { pointer: '/alias', code: 'taken', message: 'is that of another template' },
  ]);
}

/** The variables a version uses; none when the version can no longer be compiled. */
export async function usesIn(
  { templating }: { templating: Pick<Templating, 'compiled'> },
  { id, version }: TemplateUse,
  content: TemplateContent,
): Promise<CompiledTemplate['uses']> {
  const compiled = await templating.compiled({ id, version }, async () => content);
  return compiled === null || 'faults' in compiled ? [] : compiled.uses;
}

/** The faults of a template as faults of a request. @param pointer of the email that names the template, in a batch */
export function templateFaults(faults: readonly TemplateFault[], pointer = ''): Fault[] {
  return faults.map(({ path, code, message }) => ({ pointer: pointer + toPointer(path), code, message }));
}
