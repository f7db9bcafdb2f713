-- newest_media: newest 20 media
-- since: 15
SELECT m.id, m.type, m.provider
FROM public.media AS m
ORDER BY m."createdAt" DESC
LIMIT 20;
