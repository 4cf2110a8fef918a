/** A template as callers see it: the schemas, and views made of a stored template. */
import { z } from 'zod';
import { formatMailbox } from '../domain/address.ts';
import { isoOf } from '../domain/iso-time.ts';
import {
  type CompiledTemplate,
  type Letter,
  missingPolicies,
  type Template,
  type TemplateContent,
  type TemplateHead,
  templateParts,
  variableTypes,
  versionIdOf,
} from '../domain/template.ts';
import type { TemplateVersion } from '../store/templates.ts';
import { deletedView, objectField, time } from './answer-fields.ts';
import { pageOf } from './paging.ts';

const id = z.string().meta({ description: 'Its id, `tp_…`.' });
const live = z
  .literal('published')
  .meta({ description: 'Always `published`: each version can be used as soon as it is stored.' });

const templateSummaryView = z
  .object({
    object: objectField('template'),
    id,
    name: z.string().meta({ description: 'Your name for it.' }),
    alias: z.string().nullable().meta({ description: 'Your short name for it, which you can use instead of its id.' }),
    status: live,
    version: z.int().meta({ description: 'The number of its newest version, from 1.' }),
    created_at: time.meta({ description: 'When it was created.' }),
    updated_at: time.meta({ description: 'When it was changed last.' }),
    published_at: time.meta({ description: 'The same as `updated_at`, for SDKs.' }),
  })
  .meta({ id: 'TemplateSummary', description: 'A template in a list.' });

const variableView = z
  .object({
    key: z.string().meta({ description: 'Its name.' }),
    type: z.enum([...variableTypes, 'any']).meta({ description: 'Its type; `any` if none was declared.' }),
    fallback_value: z
      .union([z.string(), z.number()])
      .nullable()
      .meta({ description: 'The value used if none is given.' }),
    used_in: z.array(z.enum(templateParts)).meta({ description: 'The parts that use it.' }),
    paths: z.array(z.string()).meta({ description: 'The paths used in it, as written in the template.' }),
  })
  .meta({ id: 'TemplateVariable', description: 'A variable that the template uses, or that was declared.' });

const source = (what: string) =>
  z
    .string()
    .nullable()
    .meta({ description: `${what}, as Liquid source.` });

const contentFields = {
  subject: source('The subject line'),
  html: source('The HTML body'),
  text: source('The plain text body; null if it is made from the HTML'),
  preheader: source('The preheader'),
  from: z.string().nullable().meta({ description: 'The sender of emails made from it.' }),
  reply_to: z.array(z.string()).nullable().meta({ description: 'Where replies to these emails go.' }),
  missing: z.enum(missingPolicies).meta({ description: 'How a missing variable is treated.' }),
  variables: z.array(variableView).meta({ description: 'The variables that it uses, and those that were declared.' }),
};

export const templateView = templateSummaryView
  .extend({
    ...contentFields,
    has_unpublished_versions: z.literal(false).meta({ description: 'Always false; for SDKs.' }),
    current_version_id: z.string().meta({ description: 'The id of its newest version.' }),
  })
  .meta({ id: 'Template', description: 'A template in its newest version.' });

const versionFields = {
  object: objectField('template_version'),
  id: z.string().meta({ description: 'Its id, made of the id of the template and the number of the version.' }),
  version: z.int().meta({ description: 'Its number, from 1.' }),
};

export const versionView = z
  .object({ ...versionFields, ...contentFields })
  .meta({ id: 'TemplateVersion', description: 'One version of a template. A version never changes.' });

export const versionList = z
  .object({
    object: objectField('list'),
    has_more: z.literal(false).meta({ description: 'Always false: all are listed.' }),
    data: z
      .array(
        z
          .object({ ...versionFields, created_at: time.meta({ description: 'When it was created.' }) })
          .meta({ id: 'TemplateVersionSummary', description: 'A version, without its content.' }),
      )
      .meta({ description: 'The versions, newest first.' }),
  })
  .meta({ id: 'TemplateVersionList', description: 'The versions, newest first; at most the last 1,000.' });

export const templatePage = pageOf(templateSummaryView).meta({ description: 'Templates, newest first.' });

export const storedTemplate = z
  .object({
    object: objectField('template'),
    id,
    version: z.int().meta({ description: 'The number of its newest version.' }),
  })
  .meta({ id: 'StoredTemplate', description: 'The template as it is stored now.' });

export const deletedTemplate = deletedView('template').meta({ description: 'The template was removed.' });

export const letterView = z
  .object({
    object: objectField('rendered_template'),
    subject: z.string().nullable().meta({ description: 'The subject line; null if the template has none.' }),
    html: z.string().nullable().meta({ description: 'The HTML body; null if the template has none.' }),
    text: z.string().nullable().meta({ description: 'The plain text body.' }),
    version: z.int().meta({ description: 'The version that was rendered.' }),
  })
  .meta({ id: 'RenderedTemplate', description: 'The content of an email made from the template.' });

export function storedOf({ id, version }: Pick<TemplateHead, 'id' | 'version'>): z.input<typeof storedTemplate> {
  return { object: 'template', id, version };
}

export function summaryOf(head: TemplateHead): z.input<typeof templateSummaryView> {
  return {
    object: 'template',
    id: head.id,
    name: head.name,
    alias: head.alias,
    status: 'published',
    version: head.version,
    created_at: isoOf(head.createdAt),
    updated_at: isoOf(head.updatedAt),
    published_at: isoOf(head.updatedAt),
  };
}

type Uses = Pick<CompiledTemplate, 'uses'>['uses'];

export function viewOf({ head, content }: Template, uses: Uses): z.input<typeof templateView> {
  return {
    ...summaryOf(head),
    ...contentOf(content, uses),
    has_unpublished_versions: false,
    current_version_id: versionIdOf(head),
  };
}

export function versionViewOf(id: string, version: number, content: TemplateContent, uses: Uses) {
  const view: z.input<typeof versionView> = {
    object: 'template_version',
    id: versionIdOf({ id, version }),
    version,
    ...contentOf(content, uses),
  };
  return view;
}

export function versionListOf(id: string, versions: readonly TemplateVersion[]): z.input<typeof versionList> {
  const data = versions.map(({ version, createdAt }) => ({
    object: 'template_version' as const,
    id: versionIdOf({ id, version }),
    version,
    created_at: isoOf(createdAt),
  }));
  return { object: 'list', has_more: false, data };
}

export function letterOf(letter: Letter, version: number): z.input<typeof letterView> {
  return { object: 'rendered_template', ...letter, version };
}

function contentOf({ from, replyTo, variables: declared, ...content }: TemplateContent, uses: Uses) {
  const found = uses.filter(({ key }) => !declared.some((variable) => variable.key === key));
  const useOf = (key: string) => uses.find((use) => use.key === key);
  return {
    ...content,
    from: from && formatMailbox(from),
    reply_to: replyTo.length === 0 ? null : replyTo.map(formatMailbox),
    variables: [
      ...declared.map(({ key, type, fallback }) => ({
        key,
        type,
        fallback_value: fallback,
        ...usedOf(useOf(key)),
      })),
      ...found.map((use) => ({ key: use.key, type: 'any' as const, fallback_value: null, ...usedOf(use) })),
    ],
  };
}

function usedOf(use: Uses[number] | undefined) {
  return { used_in: [...(use?.usedIn ?? [])], paths: [...(use?.paths ?? [])] };
}
