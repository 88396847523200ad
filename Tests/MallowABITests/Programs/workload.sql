-- What a database in memory does: 300,000 rows, indexes, joins, groups, updates and deletes in a transaction, text that
-- grows, a window function, and a vacuum into a file's worth of pages.
pragma page_size = 4096;
create table item(id integer primary key, kind integer, name text, weight real, note text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 300000)
    insert into item select i, i * 7919 % 1009, 'item ' || (i * 104729 % 300007), i / 7.0,
        case when i % 10 = 0 then hex(zeroblob(i % 200)) end from n;
create table kind(id integer primary key, title text);
with recursive n(i) as (select 0 union all select i + 1 from n where i < 1008)
    insert into kind select i, 'kind ' || i || ' ' || printf('%.*c', i % 40, 'k') from n;
create index by_kind on item(kind, weight);
create unique index by_name on item(name, id);
analyze;
select count(*), sum(length(note)), round(sum(weight), 3) from item;
select kind.title, count(*), round(avg(weight), 4), max(name) from item join kind on kind.id = item.kind
    group by kind.id order by 2 desc, 1 limit 10;
select count(*) from item a join item b on b.name = 'item ' || (a.id * 31 % 300007) where a.id % 3 = 0;
begin;
update item set note = coalesce(note, '') || name || name || name where id % 4 = 1;
delete from item where kind in (select id from kind where id % 11 = 5);
commit;
select count(*), sum(length(note)) from item;
select id, total from (select id, sum(weight) over (partition by kind order by id) as total from item)
    where id % 50000 < 3 order by id;
select substr(group_concat(name, ';'), -60), length(group_concat(name, ';')) from (select name from item order by name);
vacuum;
pragma integrity_check;
select name from item where name like '%777%' order by name desc limit 5;
