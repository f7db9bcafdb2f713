-- media_of_a_provider: media of one type at one provider
-- since: 15
-- params: 'VIDEO', 'vimeo'
SELECT m.id, m."createdAt"
FROM public.media AS m
WHERE m.type = $1 AND m.provider = $2;
