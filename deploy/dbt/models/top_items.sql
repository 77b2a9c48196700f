-- The most played items of the catalogue. Forgotten items have no id.
select
    x.item_id,
    i.name,
    sum(n.play_count) as plays,
    count(*) as users
from {{ source('recsys', 'interactions') }} n
join {{ source('recsys', 'item_index') }} x on x.item_idx = n.item_idx
left join {{ source('recsys', 'items') }} i on i.item_id = x.item_id
where x.item_id is not null
group by x.item_id, i.name
order by plays desc, x.item_id
limit {{ var('top_items', 100) }}
