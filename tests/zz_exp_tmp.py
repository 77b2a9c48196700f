import sys, time, json
sys.path.insert(0,'/work/main')
import pytest
from pathlib import Path
def test_x(spark, tmp_path):
    t0=time.time()
    def lap(s):
        nonlocal t0
        print(s, round(time.time()-t0,1), flush=True); t0=time.time()
    from recsys_spark.tables import Tables
    from recsys_spark.config_layers import load_config
    p = tmp_path/"a b"; p.mkdir()
    spark.range(3).write.parquet((p/"x").as_uri())
    print("as_uri:", [str(q.relative_to(tmp_path)) for q in tmp_path.rglob("*") if q.is_dir()])
    lap("parquet")
    for name in ["sp ace", "ünï 名", "quo'te", "back`tick", "br[a]{b,c}*?", "per%20cent", "col:on", "plus+#hash", 'dq"']:
        root = tmp_path/name/"tables"
        try:
            tb = Tables(spark, load_config(["--tables.root", str(root)], {}), "r1", "j")
            tb.ensure("user_index")
            tb.append("user_index", spark.createDataFrame([("u",1)],"user_id string, user_idx int"), ("app",1))
            tb.replace("user_index", spark.createDataFrame([("v",1)],"user_id string, user_idx int"), "user_id","v")
            n = tb.read("user_index").count()
            v = tb.data_version("user_index")
            spark.sql
            import pyspark.sql.types as T
            tb._add_columns("user_index", [T.StructField("extra", T.StringType())])
            print(repr(name), "ok", n, v, sorted(q.name for q in root.iterdir()))
        except Exception as e:
            print(repr(name), "FAIL", type(e).__name__, str(e)[:300].replace("\n"," "))
        lap(name)
    # foreign
    root = tmp_path/"f"
    spark.range(3).write.parquet(str(root/"plays"))
    tb = Tables(spark, load_config(["--tables.root", str(root)], {}), "r1", "j")
    for n in ("plays",):
        try: tb.ensure(n)
        except Exception as e: print("FOREIGN parquet", type(e).__name__, str(e)[:400])
    spark.range(3).write.format("delta").save(str(root/"users"))
    for f in (tb.ensure, tb.read):
        try: print(f("users"))
        except Exception as e: print("FOREIGN delta", type(e).__name__, str(e)[:400])
    (root/"items").write_text("x")
    try: tb.ensure("items")
    except Exception as e: print("FOREIGN file", type(e).__name__, str(e)[:400])
    lap("foreign")
    print(spark.conf.get("spark.sql.extensions"))
